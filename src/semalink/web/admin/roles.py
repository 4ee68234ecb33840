"""Roles of operators; an operator's key has them as scopes."""

ADMIN = "admin"
OPS = "ops"
FINANCE = "finance"
AUDITOR = "auditor"

ANYONE = frozenset({ADMIN, OPS, FINANCE, AUDITOR})
ADMINS = frozenset({ADMIN})
MONEY = frozenset({ADMIN, FINANCE})
#: What accounts pay and may spend.
TERMS = frozenset({ADMIN, OPS, FINANCE})
OPERATIONS = frozenset({ADMIN, OPS})
