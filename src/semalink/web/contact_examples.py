"""Examples of contacts for the API's page."""

LIST_ID = "lst_0193a5c2f5d07c3e8f21b6a4d9e00001"
IMPORT_ID = "imp_0193a5c2f5d07c3e8f21b6a4d9e00002"
NUMBER = "+254712345678"

CONTACT_LIST = {
    "id": LIST_ID,
    "name": "Newsletter Nairobi",
    "contact_count": 48_712,
    "created_at": "2026-11-02T08:15:04.210000Z",
    "changed_at": "2026-11-02T08:15:04.210000Z",
}

CONTACT = {
    "number": NUMBER,
    "country": "KE",
    "network": "safaricom",
    "attributes": {"name": "Wanjiku", "town": "Nakuru"},
    "added_at": "2026-11-02T08:16:40.210000Z",
    "updated_at": "2026-11-02T08:16:40.210000Z",
}

IMPORT = {
    "id": IMPORT_ID,
    "list_id": LIST_ID,
    "state": "finished",
    "failure": None,
    "format": "csv",
    "attributes": ["name", "town"],
    "number_column": "phone",
    "bytes": 1_684_210,
    "rows": {
        "total": 50_000,
        "checked": 50_000,
        "added": 48_712,
        "updated": 0,
        "duplicate": 1_100,
        "invalid": 188,
    },
    "created_at": "2026-11-02T08:16:38.210000Z",
    "ended_at": "2026-11-02T08:16:42.904000Z",
}

STARTED = {
    **IMPORT,
    "state": "running",
    "rows": {
        "total": 50_000, "checked": 0, "added": 0, "updated": 0, "duplicate": 0, "invalid": 0,
    },
    "ended_at": None,
}  # fmt: skip
CANCELLED = {**STARTED, "state": "cancelled", "ended_at": "2026-11-02T08:16:39.904000Z"}

REJECTED = (
    "line,code,reason\r\n"
    "17,invalid_number,The number has too few digits.\r\n"
    '204,wrong_column_count,"The row has 2 columns, and the header has 3."\r\n'
)

CSV_FILE = "phone,name,town\n0712345678,Wanjiku,Nakuru\n+255754123456,Juma,Moshi\n"
