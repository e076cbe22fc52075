//! The ledger and the lease on real files.

use proptest::prelude::*;

use super::super::testing::{HandClock, actor};
use super::*;
use crate::domain::journal::Entry;
use crate::failure::Kind;

const TTL: Duration = Duration::from_secs(600);

struct Place {
    _dir: tempfile::TempDir,
    live: std::path::PathBuf,
    clock: Rc<HandClock>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { live: dir.path().join("shop.duckdb"), _dir: dir, clock: HandClock::new() }
    }

    /// Another process, as far as files and locks can tell.
    fn ledger(&self) -> FileLedger {
        FileLedger::open(&self.live, "here", self.clock.clone())
    }

    fn file(&self) -> std::path::PathBuf {
        Home::of(&self.live).ledger()
    }
}

fn draft(token: Option<Token>, reason: &str) -> Draft {
    Draft {
        operation: "run-1".into(),
        token,
        by: actor("ada", "here"),
        entry: Entry::Held { reason: reason.into() },
    }
}

/// Appends, and answers the record's number.
async fn numbered(ledger: &FileLedger, draft: Draft) -> u64 {
    ledger.append(draft).await.unwrap();
    ledger.load().await.unwrap().last().unwrap().seq
}

fn claim(verb: &str, host: &str, outranks: bool) -> Claim {
    Claim {
        verb: verb.into(),
        by: actor("ada", host),
        run: "run-1".into(),
        reason: Some("tuesday".into()),
        ttl: TTL,
        outranks,
    }
}

fn locked<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    match answer {
        Err(PortError::Refused(failure)) if failure.kind == Kind::Locked => failure.to_string(),
        other => panic!("expected a refusal as locked, got {other:?}"),
    }
}

#[tokio::test]
async fn records_are_numbered_and_read_back() {
    let place = Place::new();
    let ledger = place.ledger();
    assert!(ledger.load().await.unwrap().is_empty());
    assert!(!place.file().exists(), "reading must create nothing");
    for n in 1..=3 {
        assert_eq!(numbered(&ledger, draft(None, "x")).await, n);
    }
    let records = place.ledger().load().await.unwrap();
    assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_torn_last_line_is_left_out_and_cut_off_before_the_next() {
    let place = Place::new();
    let ledger = place.ledger();
    ledger.append(draft(None, "a")).await.unwrap();
    let whole = fs::read(place.file()).unwrap();
    for cut in [1, whole.len() / 2, whole.len() - 2] {
        let mut torn = whole.clone();
        torn.extend_from_slice(&whole[..cut]);
        fs::write(place.file(), &torn).unwrap();
        assert_eq!(ledger.load().await.unwrap().len(), 1);
        assert_eq!(numbered(&ledger, draft(None, "b")).await, 2);
        assert_eq!(ledger.load().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_whole_last_line_without_its_newline_is_kept() {
    let place = Place::new();
    let ledger = place.ledger();
    ledger.append(draft(None, "a")).await.unwrap();
    let mut bytes = fs::read(place.file()).unwrap();
    bytes.pop();
    fs::write(place.file(), &bytes).unwrap();
    assert_eq!(numbered(&ledger, draft(None, "b")).await, 2);
    assert_eq!(ledger.load().await.unwrap().len(), 2);
}

#[tokio::test]
async fn damage_in_the_middle_is_named_by_its_line() {
    let place = Place::new();
    let ledger = place.ledger();
    for _ in 0..3 {
        ledger.append(draft(None, "a")).await.unwrap();
    }
    let good = fs::read_to_string(place.file()).unwrap();
    let lines: Vec<_> = good.lines().collect();
    for bad in [
        format!("{}\n{{\n{}\n", lines[0], lines[2]),
        format!("{}\n{{}}\n{}\n", lines[0], lines[2]),
        format!("{}\n{}\n", lines[0], lines[2]),
    ] {
        fs::write(place.file(), bad).unwrap();
        let error = ledger.load().await.unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        let error = ledger.acquire(claim("deploy", "here", false)).await.unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
    fs::write(place.file(), good.replace("{\"v\":1,", "{\"v\":2,")).unwrap();
    let error = ledger.load().await.unwrap_err().to_string();
    assert!(error.contains("newer Switchback"), "{error}");
    assert!(ledger.append(draft(None, "b")).await.is_err());
}

#[tokio::test]
async fn an_append_after_a_torn_tail_of_every_length_goes_where_a_full_scan_says() {
    let place = Place::new();
    let ledger = place.ledger();
    ledger.append(draft(None, "a")).await.unwrap();
    ledger.append(draft(None, "é \"b\"\n")).await.unwrap();
    let whole = fs::read(place.file()).unwrap();
    let line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in line..=whole.len() {
        fs::write(place.file(), &whole[..cut]).unwrap();
        let expected = journal::scan(&whole[..cut]).unwrap().records.len() as u64 + 1;
        assert_eq!(numbered(&ledger, draft(None, "c")).await, expected, "cut at {cut}");
        let records = ledger.load().await.unwrap();
        assert_eq!(records.len() as u64, expected, "cut at {cut}");
    }
}

#[tokio::test]
async fn the_second_run_is_told_whose_the_lease_is() {
    let place = Place::new();
    let (one, two) = (place.ledger(), place.ledger());
    let lease = one.acquire(claim("deploy", "here", false)).await.unwrap();
    assert_eq!(lease.token, Token(1));
    let said = locked(two.acquire(claim("deploy", "here", false)).await);
    for part in ["deploy by ada on here", "run-1", "since", "until", "tuesday"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(two.lease().await.unwrap(), Some(lease));
}

#[tokio::test]
async fn the_token_grows_across_releases_and_even_a_lost_lease_file() {
    let place = Place::new();
    let ledger = place.ledger();
    let first = ledger.acquire(claim("deploy", "here", false)).await.unwrap();
    ledger.append(draft(Some(first.token), "a")).await.unwrap();
    ledger.release(first.token).await.unwrap();
    ledger.release(first.token).await.unwrap();
    assert_eq!(ledger.lease().await.unwrap(), None);
    assert!(!Home::of(&place.live).alive(1).exists());
    locked(ledger.append(draft(Some(first.token), "b")).await);
    fs::remove_file(Home::of(&place.live).lease()).unwrap();
    let second = ledger.acquire(claim("deploy", "here", false)).await.unwrap();
    assert_eq!(second.token, Token(2));
}

#[tokio::test]
async fn an_expired_lease_is_free_and_its_old_holder_is_fenced_off() {
    let place = Place::new();
    // On another host, where this kernel cannot say whether the holder lives.
    let (asleep, awake) = (place.ledger(), place.ledger());
    let old = asleep.acquire(claim("deploy", "far", false)).await.unwrap();
    place.clock.forward(599);
    locked(awake.acquire(claim("deploy", "here", false)).await);
    asleep.renew(old.token, TTL).await.unwrap();
    place.clock.forward(599);
    locked(awake.acquire(claim("deploy", "here", false)).await);
    place.clock.forward(2);
    assert_eq!(awake.lease().await.unwrap(), None);
    let new = awake.acquire(claim("deploy", "here", false)).await.unwrap();
    assert!(new.token > old.token);
    locked(asleep.renew(old.token, TTL).await);
    let said = locked(asleep.append(draft(Some(old.token), "late")).await);
    assert!(said.contains("has taken it"), "{said}");
    asleep.release(old.token).await.unwrap();
    assert_eq!(awake.lease().await.unwrap(), Some(new));
}

#[tokio::test]
async fn a_dead_holder_on_this_host_leaves_the_lease_free_and_one_elsewhere_does_not() {
    for (host, free) in [("here", true), ("far", false)] {
        let place = Place::new();
        let dying = place.ledger();
        dying.acquire(claim("deploy", host, false)).await.unwrap();
        drop(dying); // The kernel gives its locks back, as for a killed process.
        let next = place.ledger();
        assert_eq!(next.lease().await.unwrap().is_none(), free, "{host}");
        let taken = next.acquire(claim("deploy", "here", false)).await;
        assert_eq!(taken.is_ok(), free, "{host}");
        let home = Home::of(&place.live);
        assert_eq!(home.alive(1).exists(), !free, "stale files are removed");
    }
}

#[tokio::test]
async fn a_second_look_at_the_same_moment_does_not_make_a_dead_holder_look_alive() {
    let place = Place::new();
    let dying = place.ledger();
    dying.acquire(claim("deploy", "here", false)).await.unwrap();
    drop(dying);
    let looking = File::open(Home::of(&place.live).alive(1)).unwrap();
    let probe = rustix::fs::FlockOperation::NonBlockingLockShared;
    rustix::fs::flock(&looking, probe).unwrap();
    assert_eq!(place.ledger().lease().await.unwrap(), None);
    place.ledger().acquire(claim("deploy", "here", false)).await.unwrap();
}

#[tokio::test]
async fn a_rollback_outranks_a_living_deploy_but_not_another_rollback() {
    let place = Place::new();
    let (deploy, rollback, other) = (place.ledger(), place.ledger(), place.ledger());
    let lost = deploy.acquire(claim("deploy", "here", false)).await.unwrap();
    let held = rollback.acquire(claim("rollback", "here", true)).await.unwrap();
    locked(deploy.renew(lost.token, TTL).await);
    let said = locked(other.acquire(claim("rollback", "here", true)).await);
    assert!(said.contains("rollback by ada"), "{said}");
    assert_eq!(other.lease().await.unwrap(), Some(held));
}

#[tokio::test]
async fn a_damaged_or_newer_lease_is_named() {
    let place = Place::new();
    let ledger = place.ledger();
    ledger.append(draft(None, "a")).await.unwrap();
    for (text, says) in
        [("{", "lease.json"), ("{\"v\":9,\"token\":1,\"holder\":null}", "newer Switchback")]
    {
        fs::write(Home::of(&place.live).lease(), text).unwrap();
        let error = ledger.lease().await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

fn lines(count: usize) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = vec![0];
    for seq in 1..=count as u64 {
        let record = Record {
            v: VERSION,
            seq,
            at: chrono::DateTime::from_timestamp(0, 0).unwrap(),
            operation: "run".into(),
            token: None,
            by: actor("ada", "here"),
            entry: Entry::Resumed { reason: "é \"x\"\n".into() },
        };
        serde_json::to_writer(&mut bytes, &record).unwrap();
        ends.push(bytes.len());
        bytes.push(b'\n');
    }
    (bytes, ends)
}

proptest! {
    #[test]
    fn a_ledger_cut_anywhere_reads_as_its_whole_lines(count in 1usize..5, cut in 0usize..4000) {
        let (bytes, ends) = lines(count);
        let cut = cut % (bytes.len() + 1);
        let found = journal::scan(&bytes[..cut]).unwrap();
        let whole = ends.iter().skip(1).filter(|end| **end <= cut).count();
        prop_assert_eq!(found.records.len(), whole);
        prop_assert!(found.end.whole <= cut as u64);
    }

    #[test]
    fn the_tail_says_what_a_full_scan_says_or_leaves_it_to_that(
        count in 0usize..5,
        piece in 1u64..600,
        torn in prop_oneof![
            Just(Vec::new()),
            "[{}a-z\"\n]{0,40}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..300),
        ],
        cut in 0usize..4000,
    ) {
        let (mut bytes, _) = lines(count);
        bytes.truncate(bytes.len() - cut % (bytes.len() + 1) / 2);
        bytes.extend(torn);
        let tail = journal::tail(&mut io::Cursor::new(&bytes), piece).unwrap();
        match (tail, journal::scan(&bytes)) {
            (Some(end), Ok(all)) => prop_assert_eq!(end, all.end),
            (None, _) => {}
            (Some(_), Err(_)) => {
                // Only damage before the last two lines may be left to those who read all.
                prop_assert!(bytes.split(|byte| *byte == b'\n').count() > 2);
            }
        }
    }

    #[test]
    fn the_tail_never_leaves_a_cut_ledger_to_a_full_scan(
        count in 1usize..5, cut in 0usize..4000, piece in 1u64..600,
    ) {
        let (bytes, _) = lines(count);
        let cut = cut % (bytes.len() + 1);
        let tail = journal::tail(&mut io::Cursor::new(&bytes[..cut]), piece).unwrap();
        prop_assert_eq!(tail, Some(journal::scan(&bytes[..cut]).unwrap().end));
    }
}
