"""What is refused of contact lists and files: status, title and what to do about it."""

from semalink.web.problem_type import ProblemType

CONTACT_PROBLEMS = (
    ProblemType(
        "contact_list_not_found",
        404,
        "No such contact list",
        "List the contact lists; ids begin with lst_ and are case-sensitive.",
    ),
    ProblemType(
        "contact_list_busy",
        409,
        "An import is changing the list",
        "Repeat it in a second; an import holds its list for one piece of the file at a time.",
        retryable=True,
    ),
    ProblemType(
        "contact_not_found",
        404,
        "Number is not on the list",
        "List the contacts; one that was removed is not there any more.",
    ),
    ProblemType(
        "contact_import_not_found",
        404,
        "No such import",
        "List the imports of the contact list; ids begin with imp_ and are case-sensitive.",
    ),
    ProblemType(
        "contact_import_ended",
        409,
        "The import has ended",
        "Read the import: what it added stays until it is removed.",
    ),
    ProblemType(
        "too_many_contact_imports",
        409,
        "Too many imports are under way",
        "Wait until an import of the account has ended, or cancel one.",
        retryable=True,
    ),
    ProblemType(
        "invalid_compression",
        422,
        "File is not gzip",
        "Compress the whole file with gzip, or send it without Content-Encoding.",
    ),
    ProblemType(
        "invalid_encoding",
        422,
        "File is not UTF-8",
        'Save the file as UTF-8; spreadsheets name it "CSV UTF-8".',
    ),
    ProblemType(
        "unclosed_quote",
        422,
        "A quote is not closed",
        'Close the quote, or write one that belongs to the text twice: "".',
    ),
    ProblemType(
        "line_too_long",
        422,
        "A row is too long",
        "End each row with a line feed, and shorten what is in it.",
    ),
    ProblemType(
        "too_many_rows",
        413,
        "File has too many rows",
        "Split the file and import the parts one after the other.",
    ),
    ProblemType(
        "contact_file_empty",
        422,
        "File has no rows",
        "Write a header and a row for each contact, and check that the file was read.",
    ),
    ProblemType(
        "number_column_missing",
        422,
        "Column of numbers is missing",
        'Name the column "number" in the header, or say which one it is with number_column.',
    ),
    ProblemType(
        "invalid_columns",
        422,
        "Header is not valid",
        "Name each column once, with letters, digits and underscores; at most 51 of them.",
    ),
)
