"""SemaLink: an SMS platform on an event-sourced credit ledger."""
