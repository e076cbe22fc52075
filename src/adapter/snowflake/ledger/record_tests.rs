//! Records cut up and put together.

use proptest::prelude::*;

use super::*;
use crate::ports::Token;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn draft(reason: &str) -> Draft {
    Draft {
        operation: "run-1".into(),
        token: Some(Token(3)),
        by: Actor { name: "ada".into(), run_url: None, host: "here".into() },
        entry: Entry::Held { reason: reason.into() },
    }
}

fn rows(id: &str, seq: u64, second: i64, reason: &str) -> Vec<Row> {
    let parts = parts(&draft(reason), id).unwrap().into_iter();
    let row = |part: Part| Row {
        seq: (part.index == 0).then_some(seq),
        at: at(second),
        id: part.id,
        index: part.index,
        of: part.of,
        text: part.text,
    };
    parts.map(row).collect()
}

fn reasons(records: &[Record]) -> Vec<(u64, String)> {
    let reason = |record: &Record| match &record.entry {
        Entry::Held { reason } => (record.seq, reason.clone()),
        other => panic!("{other:?}"),
    };
    records.iter().map(reason).collect()
}

fn read(rows: Vec<Row>) -> Vec<(u64, String)> {
    reasons(&assemble(rows, "HOME").unwrap())
}

#[test]
fn records_are_ordered_by_number_then_time_and_numbered_without_gaps() {
    let all = [rows("c", 9, 5, "late"), rows("b", 4, 3, "two"), rows("a", 4, 2, "one")].concat();
    let records = assemble(all, "HOME").unwrap();
    let expected = [(1, "one".to_owned()), (2, "two".to_owned()), (3, "late".to_owned())];
    assert_eq!(reasons(&records), expected);
    assert_eq!(records[0].at, at(2));
    assert_eq!(records[0].token, Some(3));
}

#[test]
fn a_part_that_was_sent_twice_counts_once_at_its_first_place() {
    let all = [rows("a", 1, 1, "x"), rows("b", 2, 2, "y"), rows("a", 3, 3, "x")].concat();
    assert_eq!(read(all), [(1, "x".to_owned()), (2, "y".to_owned())]);
}

#[test]
fn a_record_counts_once_its_first_part_is_there_and_is_damaged_if_another_lacks() {
    let long = "é".repeat(LONGEST);
    let whole = rows("a", 1, 1, &long);
    assert_eq!(whole.len(), 3);
    assert_eq!(whole.last().unwrap().index, 0, "the part that makes it count is written last");
    assert!(whole.iter().all(|row| row.text.len() <= LONGEST));
    for cut in 0..3 {
        assert_eq!(read(whole[..cut].to_vec()), []);
    }
    assert_eq!(read(whole.clone()), [(1, long)]);
    let error = assemble(whole[1..].to_vec(), "HOME").unwrap_err();
    assert!(error.message.contains("HOME is damaged in record 1 (ID a): part 3 of 3"), "{error}");
}

#[test]
fn damage_and_newer_records_are_named_and_never_skipped() {
    let mut damaged = rows("a", 1, 1, "x");
    damaged[0].text = "{}".into();
    let error = assemble([damaged, rows("b", 2, 1, "y")].concat(), "HOME").unwrap_err();
    assert_eq!(error.kind, Kind::Unexpected);
    assert!(error.message.contains("record 1"), "{error}");
    let mut newer = rows("a", 1, 1, "x");
    newer[0].text = r#"{"v":2,"shape":"unheard of"}"#.into();
    let error = assemble(newer, "HOME").unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.message.contains("newer Switchback"), "{error}");
}

proptest! {
    #[test]
    fn a_text_cut_anywhere_is_whole_again(text in "[aé€😀]{0,60}", most in 4usize..30) {
        let pieces = cut(&text, most);
        prop_assert!(pieces.iter().all(|piece| piece.len() <= most));
        prop_assert_eq!(pieces.concat(), text);
    }
}
