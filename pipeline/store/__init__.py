"""The ledger: every table, all SQL, the credential vault and the migrations."""
