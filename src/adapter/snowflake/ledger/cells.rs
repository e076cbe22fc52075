//! The cells of a row that we asked for, as what they have to be.
//!
//! May import `ports`.

use std::str::FromStr;

use anyhow::anyhow;
use chrono::{DateTime, Utc};

use crate::ports::{Answer, PortError, Rows};

/// One row.
pub(super) struct Cells<'a> {
    columns: &'a [String],
    cells: &'a [Option<String>],
}

/// The rows of an answer.
pub(super) fn rows(rows: &Rows) -> impl Iterator<Item = Cells<'_>> {
    rows.rows.iter().map(|cells| Cells { columns: &rows.columns, cells })
}

impl Cells<'_> {
    /// The value; `None` where it is NULL.
    pub(super) fn maybe(&self, at: usize) -> Option<&str> {
        self.cells.get(at).and_then(Option::as_deref)
    }

    pub(super) fn text(&self, at: usize) -> Answer<&str> {
        self.maybe(at).ok_or_else(|| self.odd(at))
    }

    pub(super) fn number<T: FromStr>(&self, at: usize) -> Answer<T> {
        self.text(at)?.parse().map_err(|_| self.odd(at))
    }

    pub(super) fn truth(&self, at: usize) -> Answer<bool> {
        self.number(at)
    }

    pub(super) fn instant(&self, at: usize) -> Answer<DateTime<Utc>> {
        let time = DateTime::parse_from_rfc3339(self.text(at)?);
        time.map(|time| time.with_timezone(&Utc)).map_err(|_| self.odd(at))
    }

    fn odd(&self, at: usize) -> PortError {
        let name = self.columns.get(at).map_or("?", String::as_str);
        let value = self.maybe(at).unwrap_or("NULL");
        PortError::Unknown(anyhow!("Snowflake answered `{value}` for {name} of the ledger"))
    }
}
