//! The driver's rows as text, the same on every machine: instants in UTC with nanoseconds, truth
//! as `true` and `false`, values of no simple form as JSON.
//!
//! May import `ports`.

use chrono::{DateTime, SecondsFormat, Utc};
use snowflake_connector_rs::{CellValue, Result, ResultCursor};

use crate::ports::Rows;

/// Collects a result, at most `limit` rows of it.
pub async fn collect(mut cursor: ResultCursor, limit: usize) -> Result<Rows> {
    let columns = cursor.schema().columns().iter();
    let mut rows = Rows {
        columns: columns.map(|column| column.name().to_owned()).collect(),
        rows: Vec::new(),
    };
    while rows.rows.len() < limit {
        let Some(table) = cursor.next_table().await? else {
            break;
        };
        for row in table.dynamic_rows()? {
            if rows.rows.len() == limit {
                break;
            }
            let (_, values) = row?.into_parts();
            rows.rows.push(values.into_vec().into_iter().map(text).collect());
        }
    }
    Ok(rows)
}

fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn text(value: CellValue) -> Option<String> {
    Some(match value {
        CellValue::Null => return None,
        CellValue::Boolean(truth) => truth.to_string(),
        CellValue::Integer(number) => number.to_string(),
        CellValue::Float(number) => number.to_string(),
        CellValue::Decimal(number) => number.raw().to_owned(),
        CellValue::String(text) => text,
        CellValue::Date(date) => date.to_string(),
        CellValue::Time(time) => time.to_string(),
        CellValue::TimestampNtz(time) => time.to_string(),
        CellValue::TimestampLtz(time) => instant(time),
        CellValue::TimestampTz(time) => instant(time.with_timezone(&Utc)),
        CellValue::Json(json) => json.to_string(),
        CellValue::Binary(bytes) => crate::domain::name::hex(bytes.as_bytes()),
        other => format!("{other:?}"),
    })
}
