//! DuckDB files behind the `Warehouse` and `Ledger` ports.
