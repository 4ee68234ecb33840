"""What is refused of contact lists and of files of contacts; the order is that of precedence."""

from semalink.domain.refusal import DomainError


class ContactListNotFound(DomainError):
    """The account has no such contact list."""

    code = "contact_list_not_found"

    def __init__(self) -> None:
        super().__init__("This account has no contact list with this id.")


class ContactListBusy(DomainError):
    """An import changes the contacts of the list just now."""

    code = "contact_list_busy"

    def __init__(self) -> None:
        super().__init__("An import is changing this contact list. Try again in a second.")


class ContactNotFound(DomainError):
    """The list does not hold this number."""

    code = "contact_not_found"

    def __init__(self) -> None:
        super().__init__("This contact list does not hold this number.")


class ContactImportNotFound(DomainError):
    """The list has no such import."""

    code = "contact_import_not_found"

    def __init__(self) -> None:
        super().__init__("This contact list has no import with this id.")


class ContactImportEnded(DomainError):
    """The import is over and can be cancelled no more."""

    code = "contact_import_ended"

    def __init__(self, state: str) -> None:
        super().__init__(f"The import is {state} and changes no more.")


class TooManyContactImports(DomainError):
    """As many imports as may be are under way in the account."""

    code = "too_many_contact_imports"

    def __init__(self, imports_max: int) -> None:
        super().__init__(
            f"At most {imports_max} imports of an account are under way at a time. "
            "Wait for one, or cancel it."
        )


class InvalidCompression(DomainError):
    """The file is said to be gzip, and is not, or breaks off."""

    code = "invalid_compression"

    def __init__(self, why: str) -> None:
        super().__init__(f"{why} Compress the file with gzip, or send it without Content-Encoding.")


class InvalidEncoding(DomainError):
    """The file is not UTF-8 text."""

    code = "invalid_encoding"

    def __init__(self, line: int, byte: int, *, is_nul: bool = False) -> None:
        what = "is a NUL, which no text has" if is_nul else "is not UTF-8"
        super().__init__(
            f"Byte {byte} of the file, in line {line}, {what}. "
            'Save the file as UTF-8; spreadsheets name it "CSV UTF-8".'
        )


class UnclosedQuote(DomainError):
    """A quote opens a cell and nothing closes it."""

    code = "unclosed_quote"

    def __init__(self, line: int) -> None:
        super().__init__(
            f"The quote that opens in line {line} is not closed. "
            'Close it, or write a quote that belongs to the text twice: "".'
        )


class LineTooLong(DomainError):
    """A row of the file is longer than any real one."""

    code = "line_too_long"

    def __init__(self, line: int, bytes_max: int) -> None:
        super().__init__(
            f"The row in line {line} has more than {bytes_max} bytes. "
            "End each row with a line feed, and shorten what is in it."
        )


class TooManyRows(DomainError):
    """The file has more rows than one import takes."""

    code = "too_many_rows"

    def __init__(self, rows_max: int) -> None:
        super().__init__(f"The file has more than {rows_max} rows. Split it into several imports.")


class ContactFileEmpty(DomainError):
    """The file has no row."""

    code = "contact_file_empty"

    def __init__(self) -> None:
        super().__init__("The file has no row of contacts. Below the header, write one row each.")


class NumberColumnMissing(DomainError):
    """Nothing in the header names the column of the phone numbers."""

    code = "number_column_missing"

    def __init__(self, wanted: str | None) -> None:
        what = (
            "No column of the header is known to hold phone numbers."
            if wanted is None
            else "The header has no column with the name that number_column gives."
        )
        super().__init__(
            f'{what} Name the column "number" in the first row, or say which one it is with '
            "?number_column=name."
        )


class InvalidColumns(DomainError):
    """The header has too many columns, or names that cannot be those of attributes."""

    code = "invalid_columns"

    def __init__(self, why: str) -> None:
        super().__init__(why)
