//! Whatever the bytes are: messages round trip, and everything else is a typed error.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use keepwell_fhir::Instant;
use keepwell_protocol::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn encodings() -> [Encoding; 3] {
    [Encoding::Identity, Encoding::Zstd, Encoding::Dictionary(Dictionary::built_in())]
}

const NUMBER_MAX: u64 = (1 << 53) - 1;

fn any_key() -> impl Strategy<Value = ResourceKey> {
    (select(vec!["Patient", "Observation", "Flag", "ValueSet"]), "[A-Za-z0-9.-]{1,64}")
        .prop_map(|(kind, id)| key(kind, &id))
}

/// Bodies with blanks and line feeds wherever JSON allows them.
fn any_body(key: &ResourceKey) -> impl Strategy<Value = Body> + use<> {
    let ResourceKey { kind, id } = key.clone();
    (vec("[ \n\r\t]{0,2}", 4), "\\PC{0,20}", "-?[1-9][0-9]{0,3}\\.[0-9]{1,3}([eE][+-]?[0-9]{1,3})?").prop_map(
        move |(blank, text, number)| {
            let text = serde_json::to_string(&text).unwrap();
            let [a, b, c, d] = &blank[..] else { unreachable!("four were asked for") };
            body(&format!(
                r#"{a}{{"resourceType":"{kind}",{b}"text":{text},"value":{number}{c},"id":"{id}"}}{d}"#
            ))
        },
    )
}

fn any_instant() -> impl Strategy<Value = Option<Instant>> {
    option::of((Instant::MIN.ms()..Instant::MAX.ms()).prop_map(Instant::from_ms))
}

fn any_payload(key: &ResourceKey) -> impl Strategy<Value = (Operation, u64, Payload)> + use<> {
    prop_oneof![
        any_body(key).prop_map(|body| (Operation::Create, 0, Payload::Body(body))),
        (1..NUMBER_MAX, any_body(key)).prop_map(|(base, body)| (
            Operation::Update,
            base,
            Payload::Body(body)
        )),
        (1..NUMBER_MAX, any_body(key)).prop_map(|(base, body)| (
            Operation::Recreate,
            base,
            Payload::Body(body)
        )),
        (1..NUMBER_MAX).prop_map(|base| (Operation::Delete, base, Payload::Nothing)),
        (1..NUMBER_MAX, vec(any::<u8>(), 0..40)).prop_map(|(base, frame)| {
            let delta = Delta { base: HashStart::of(&frame), frame: Base64(frame) };
            (Operation::Update, base, Payload::Delta(delta))
        }),
    ]
}

fn any_merge() -> impl Strategy<Value = Merge> {
    let parts = (
        any::<u32>(),
        option::of(0..NUMBER_MAX),
        0..NUMBER_MAX,
        any::<bool>(),
        vec("\\PC{0,20}", 0..3),
        vec("[a-z0-9]{1,8}", 0..3),
    );
    parts.prop_map(|(rule, from, theirs, is_deleted, paths, cids)| Merge {
        rule,
        from: from.map(version),
        theirs: version(theirs),
        mine: (!is_deleted).then(|| Hash::of(b"x")),
        paths,
        cids: cids.iter().map(|cid| cid.parse().unwrap()).collect(),
    })
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    any_key().prop_flat_map(|key| {
        let rest = (any_instant(), option::of("\\PC{0,30}"), option::of(any_merge()));
        (any_payload(&key), rest).prop_map(move |((operation, base, payload), (at, why, merge))| Mutation {
            sequence: sequence(1),
            operation,
            key: key.clone(),
            base: version(base),
            at,
            why,
            group: None,
            payload,
            merge,
        })
    })
}

/// Mutations with rising numbers and groups.
fn any_push() -> impl Strategy<Value = Vec<Frozen>> {
    vec((any_mutation(), 1_u64..5, any::<bool>(), 0_u64..3), 0..8).prop_map(|mutations| {
        let (mut number, mut group) = (0, 0);
        let frozen = mutations.into_iter().map(|(mutation, step, grouped, group_step)| {
            number += step;
            group += group_step;
            let group = grouped.then_some(group);
            Frozen::freeze(Mutation { sequence: sequence(number), group, ..mutation }).unwrap()
        });
        frozen.collect()
    })
}

fn any_row() -> impl Strategy<Value = Row> {
    any_key().prop_flat_map(|key| {
        let state = prop_oneof![
            any_body(&key).prop_map(RowState::In),
            (0..NUMBER_MAX).prop_map(|number| RowState::Own(sequence(number))),
            Just(RowState::Left),
            Just(RowState::Deleted),
        ];
        (state, "[A-Za-z]{1,32}/[A-Za-z0-9.-]{1,64}", 0..NUMBER_MAX, any_instant()).prop_map(
            move |(state, scope, of, at)| Row {
                position: Position::ZERO,
                scope: scope.parse().unwrap(),
                key: key.clone(),
                version: version(of),
                at,
                state,
            },
        )
    })
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let reason =
        select(vec![ParkReason::NoGrant, ParkReason::ReadOnly, ParkReason::Group, ParkReason::NoScope]);
    prop_oneof![
        (0..NUMBER_MAX, 0..NUMBER_MAX)
            .prop_map(|(v, p)| Outcome::Applied { version: version(v), position: position(p) }),
        (0..NUMBER_MAX).prop_map(|v| Outcome::Noop { version: version(v) }),
        option::of(any_row()).prop_map(|current| Outcome::Conflict { current }),
        (reason, option::of(any_row())).prop_map(|(why, current)| Outcome::Parked { why, current }),
        any_key().prop_flat_map(|key| any_body(&key)).prop_map(|outcome| Outcome::Rejected { outcome }),
        Just(Outcome::NeedFull),
        Just(Outcome::NeedBlob),
    ]
}

fn any_page() -> impl Strategy<Value = Vec<PullItem>> {
    (vec((any_outcome(), 1_u64..5), 0..4), vec((any_row(), 0_u64..5), 0..6)).prop_map(|(outcomes, rows)| {
        let (mut number, mut place) = (0, 0);
        let outcomes = outcomes.into_iter().map(|(outcome, step)| {
            number += step;
            let line = Some(HashStart::of(&[0]));
            PullItem::Outcome(Settlement { sequence: sequence(number), line, outcome })
        });
        let rows = rows.into_iter().map(|(row, step)| {
            place += step;
            PullItem::Row(Row { position: position(place), ..row })
        });
        outcomes.chain(rows).collect()
    })
}

fn check<M: Message>(
    head: &M::Head,
    items: &[M::Item],
    end: &M::End,
    chunk: usize,
) -> Result<(), TestCaseError> {
    for encoding in encodings() {
        let bytes = message::<M>(&encoding, head, items, end.clone());
        let (parts, result) = parts::<M>(&encoding, &bytes, chunk);
        prop_assert_eq!(result, Ok(()));
        let mut expected = vec![Part::Head(head.clone())];
        expected.extend(items.iter().cloned().map(Part::Item));
        expected.push(Part::End(end.clone()));
        prop_assert_eq!(parts, expected);
    }
    Ok(())
}

/// What is read of damaged bytes is the beginning of what was sent, and an error.
fn check_damage<M: Message>(whole: &[u8], damaged: &[u8], encoding: &Encoding) -> Result<(), TestCaseError> {
    let (sent, _) = parts::<M>(encoding, whole, 1 << 16);
    let (read, result) = parts::<M>(encoding, damaged, 13);
    prop_assert!(result.is_err());
    // Of a frame without its checksum, all may have been read.
    prop_assert!(read.len() <= sent.len());
    prop_assert_eq!(&read[..], &sent[..read.len()]);
    Ok(())
}

fn page(encoding: &Encoding) -> Vec<u8> {
    let items = pull_items();
    message::<PullReply>(encoding, &pull_head(), &items, pull_end(items.len()))
}

proptest! {
    #[test]
    fn pushes_round_trip(items in any_push(), chunk in 1_usize..300) {
        let end = PushEnd { n: items.len() as u64 };
        check::<PushRequest>(&push_head(), &items, &end, chunk)?;
    }

    #[test]
    fn pages_round_trip(items in any_page(), chunk in 1_usize..300) {
        check::<PullReply>(&pull_head(), &items, &pull_end(items.len()), chunk)?;
    }

    #[test]
    fn frozen_bytes_thaw_to_the_same_mutation(mutation in any_mutation()) {
        let frozen = Frozen::freeze(mutation.clone()).unwrap();
        let thawed = Frozen::thaw(frozen.line()).unwrap();
        prop_assert_eq!(thawed.mutation(), &mutation);
        prop_assert_eq!(thawed.hash(), frozen.hash());
        prop_assert_eq!(thawed, frozen);
    }

    #[test]
    fn outcomes_are_kept_as_bytes(outcome in any_outcome()) {
        let settlement = Settlement { sequence: sequence(1), line: None, outcome };
        prop_assert_eq!(Settlement::from_bytes(&settlement.to_bytes()), Ok(settlement));
    }

    #[test]
    fn rows_are_kept_as_bytes(row in any_row()) {
        prop_assert_eq!(Row::from_bytes(&row.to_bytes()), Ok(row));
    }

    #[test]
    fn a_cut_loses_nothing_that_came_before_it(at in any::<Index>()) {
        for encoding in encodings() {
            let whole = page(&encoding);
            let cut = &whole[..at.index(whole.len())];
            check_damage::<PullReply>(&whole, cut, &encoding)?;
            let (_, result) = parts::<PullReply>(&encoding, cut, 100);
            prop_assert_eq!(result, Err(Error::Truncated));
        }
    }

    #[test]
    fn lines_that_are_lost_doubled_or_swapped_are_errors(
        at in any::<Index>(), other in any::<Index>(), fault in 0..3,
    ) {
        let whole = page(&Encoding::Identity);
        let mut lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let (at, other) = (at.index(lines.len()), other.index(lines.len()));
        match fault {
            0 => { lines.remove(at); }
            1 => lines.insert(at, lines[at]),
            _ => {
                // Rows of one position may stand in any order.
                prop_assume!(lines[at][..12] != lines[other][..12]);
                lines.swap(at, other);
            }
        }
        let (_, result) = parts::<PullReply>(&Encoding::Identity, &lines.concat(), 50);
        prop_assert!(result.is_err());
    }

    #[test]
    fn flipped_bits_in_compressed_pages_are_errors(at in any::<Index>(), bit in 0_u8..8) {
        for encoding in &encodings()[1..] {
            let whole = page(encoding);
            let mut damaged = whole.clone();
            let at = at.index(whole.len());
            damaged[at] ^= 1 << bit;
            let (sent, _) = parts::<PullReply>(encoding, &whole, 100);
            let (read, result) = parts::<PullReply>(encoding, &damaged, 100);
            // A flag in the frame's head may mean the same; then the message is.
            prop_assert!(result.is_err() || read == sent);
        }
    }

    #[test]
    fn flipped_bits_in_plain_pages_never_panic(at in any::<Index>(), bit in 0_u8..8) {
        let mut bytes = page(&Encoding::Identity);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = parts::<PullReply>(&Encoding::Identity, &bytes, 100);
        let _ = parts::<PushReply>(&Encoding::Identity, &bytes, 100);
        let _ = parts::<PushRequest>(&Encoding::Identity, &bytes, 100);
        let _ = parts::<ParkRequest>(&Encoding::Identity, &bytes, 100);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), chunk in 1_usize..50) {
        for encoding in encodings() {
            let (_, result) = parts::<PullReply>(&encoding, &bytes, chunk);
            prop_assert!(result.is_err());
            prop_assert!(from_encoded::<PullRequest>(&bytes, &encoding).is_err());
        }
        let _ = Refusal::from_response(400, None, &bytes);
        let _ = Settlement::from_bytes(&bytes);
        prop_assert!(Frozen::thaw(&bytes).is_err());
    }

    #[test]
    fn hostile_json_never_panics(text in "[{}\\[\\]\",:a-c0-9.eE-]{0,100}", name in "(seq|p|end|cid|r|d|o|v)") {
        let line = format!("{{\"{name}\":{text}}}");
        let _ = Frozen::thaw(line.as_bytes());
        let _ = Settlement::from_bytes(line.as_bytes());
        let _ = from_bytes::<PullRequest>(line.as_bytes());
        let _ = from_bytes::<DigestReply>(line.as_bytes());
    }
}

#[test]
fn unknown_members_are_ignored() {
    let text = r#"{"later":{"a":[1]},"seq":1,"op":"delete","t":"Flag","i":"f1","base":3,"more":null}"#;
    assert_eq!(Frozen::thaw(text.as_bytes()).unwrap().mutation().base, version(3));
    let text = r#"{"min":1,"max":9,"tenant":"t","epoch":"0000000000000001","clock":5,"time":"2026-11-22T00:00:00Z","x":{}}"#;
    assert_eq!(from_bytes::<Hello>(text.as_bytes()).unwrap().limits, ServerLimits::default());
}

#[test]
fn unknown_outcomes_and_row_states_stop_and_lose_nothing() {
    let head = serde_json::to_string(&pull_head()).unwrap();
    let known = r#"{"seq":1,"o":"noop","ver":3}"#;
    for (line, expected) in [
        (r#"{"seq":2,"o":"postponed"}"#, Error::UnknownOutcome),
        (r#"{"p":1,"s":"Patient/1","t":"Flag","i":"f","v":1,"st":"merged"}"#, Error::UnknownRowState),
        (
            r#"{"seq":2,"o":"conflict","cur":{"p":1,"s":"a/1","t":"Flag","i":"f","v":1,"st":"x"}}"#,
            Error::UnknownRowState,
        ),
        (r#"{"p":1,"s":"Patient/1","t":"Flag","i":"f","v":1}"#, Error::Contradiction),
        (r#"{"p":1,"s":"Patient/1","t":"Flag","i":"f","v":1,"st":"left","own":3}"#, Error::Contradiction),
        (r#"{"p":1,"s":"Patient/1","t":"Flagg","i":"f","v":1,"st":"left"}"#, Error::Malformed { line: 3 }),
        (r#"{"p":-1,"s":"Patient/1","t":"Flag","i":"f","v":1,"st":"left"}"#, Error::Malformed { line: 3 }),
        (
            r#"{"p":9007199254740992,"s":"Patient/1","t":"Flag","i":"f","v":1,"st":"left"}"#,
            Error::Malformed { line: 3 },
        ),
        (r#"{"seq":2,"o":"applied","ver":1}"#, Error::Contradiction),
        (r#"{"seq":1,"o":"noop","ver":3}"#, Error::Order { line: 3 }),
        ("", Error::Malformed { line: 3 }),
        ("null", Error::Malformed { line: 3 }),
        (r#"{"end":{"n":7,"upto":1,"more":false,"next_ms":1}}"#, Error::Order { line: 3 }),
    ] {
        let text = format!("{head}\n{known}\n{line}\n");
        let (parts, result) = parts::<PullReply>(&Encoding::Identity, text.as_bytes(), 1 << 10);
        assert_eq!(result, Err(expected), "{line}");
        assert_eq!(parts.len(), 2, "{line}");
    }
}

#[test]
fn mutations_that_contradict_themselves_are_refused() {
    for (line, expected) in [
        (r#"{"seq":1,"op":"create","base":1,"r":{"resourceType":"Flag","id":"f"}}"#, Error::Contradiction),
        (r#"{"seq":1,"op":"update","base":0,"r":{"resourceType":"Flag","id":"f"}}"#, Error::Contradiction),
        (r#"{"seq":1,"op":"update","base":1,"t":"Flag","i":"f"}"#, Error::Contradiction),
        (r#"{"seq":1,"op":"delete","base":1,"r":{"resourceType":"Flag","id":"f"}}"#, Error::Contradiction),
        (r#"{"seq":0,"op":"delete","base":1,"t":"Flag","i":"f"}"#, Error::Contradiction),
        (r#"{"seq":1,"op":"delete","base":1,"t":"Flag"}"#, Error::Malformed { line: 0 }),
        (r#"{"seq":1,"op":"undelete","base":1,"t":"Flag","i":"f"}"#, Error::Malformed { line: 0 }),
        (r#"{"seq":1,"op":"update","base":1,"r":{"resourceType":"Flag"}}"#, Error::Malformed { line: 0 }),
        (r#"{"seq":1,"seq":2,"op":"delete","base":1,"t":"Flag","i":"f"}"#, Error::Malformed { line: 0 }),
    ] {
        assert_eq!(Frozen::thaw(line.as_bytes()).unwrap_err(), expected, "{line}");
    }
    let other = mutation(1, Operation::Create, 0, key("Flag", "f"), Payload::Body(body(PATIENT)));
    assert_eq!(Frozen::freeze(other).unwrap_err(), Error::Contradiction);
    let long = "x".repeat(limits::NOTE_BYTES_MAX + 1);
    let deletion = mutation(1, Operation::Delete, 1, key("Flag", "f"), Payload::Nothing);
    let long = Frozen::freeze(Mutation { why: Some(long), ..deletion });
    assert_eq!(long.unwrap_err(), Error::TooLarge(Limit::Element));
}

#[test]
fn a_group_that_stands_apart_is_refused() {
    let grouped = |number, group| {
        let deletion = mutation(number, Operation::Delete, 1, key("Flag", "f"), Payload::Nothing);
        Frozen::freeze(Mutation { group, ..deletion }).unwrap()
    };
    for (items, expected) in [
        (vec![grouped(1, Some(2)), grouped(2, Some(2)), grouped(4, None), grouped(5, Some(3))], Ok(())),
        (vec![grouped(1, Some(2)), grouped(2, Some(3)), grouped(3, Some(2))], Err(Error::Order { line: 4 })),
        (vec![grouped(2, None), grouped(1, None)], Err(Error::Order { line: 3 })),
        (vec![grouped(2, None), grouped(2, None)], Err(Error::Order { line: 3 })),
    ] {
        let end = PushEnd { n: items.len() as u64 };
        let bytes = message::<PushRequest>(&Encoding::Identity, &push_head(), &items, end);
        assert_eq!(parts::<PushRequest>(&Encoding::Identity, &bytes, 99).1, expected);
    }
}

#[test]
fn too_much_of_anything_is_refused() {
    let refused = |bytes: &[u8], encoding: &Encoding| parts::<PushRequest>(encoding, bytes, 1 << 14).1;
    let deletion = |number| mutation(number, Operation::Delete, 1, key("Flag", "f"), Payload::Nothing);
    let many: Vec<_> = (1..=limits::MUTATIONS_MAX as u64 + 1)
        .map(|number| Frozen::freeze(deletion(number)).unwrap())
        .collect();
    let end = PushEnd { n: many.len() as u64 };
    let bytes = message::<PushRequest>(&Encoding::Zstd, &push_head(), &many, end);
    assert_eq!(refused(&bytes, &Encoding::Zstd), Err(Error::TooLarge(Limit::Items)));

    let head = serde_json::to_string(&push_head()).unwrap();
    let line = format!("{head}\n{{\"a\":\"{}\"}}\n", " ".repeat(limits::LINE_BYTES_MAX));
    assert_eq!(refused(line.as_bytes(), &Encoding::Identity), Err(Error::TooLarge(Limit::Line)));
    assert_eq!(
        refused(&Encoding::Zstd.encode(line.as_bytes()), &Encoding::Zstd),
        Err(Error::TooLarge(Limit::Line))
    );

    let bulk = format!(
        "{{\"resourceType\":\"Flag\",\"id\":\"f\",\"x\":\"{}\"}}",
        "x".repeat(limits::PUSH_BYTES_MAX / 2)
    );
    let large = |number| {
        let flag = mutation(number, Operation::Create, 0, key("Flag", "f"), Payload::Body(body(&bulk)));
        Frozen::freeze(flag).unwrap()
    };
    let bytes =
        message::<PushRequest>(&Encoding::Zstd, &push_head(), &[large(1), large(2)], PushEnd { n: 2 });
    assert_eq!(refused(&bytes, &Encoding::Zstd), Err(Error::TooLarge(Limit::Message)));

    let bomb = Encoding::Zstd.encode(&vec![b' '; 64 << 20]);
    assert_eq!(from_encoded::<PullRequest>(&bomb, &Encoding::Zstd), Err(Error::TooLarge(Limit::Message)));
    let many = PullRequest {
        hydrating: vec![pull_request().hydrating[0].clone(); limits::HYDRATING_MAX + 1],
        ..pull_request()
    };
    assert_eq!(from_bytes::<PullRequest>(&to_bytes(&many)), Err(Error::TooLarge(Limit::Element)));
    let wide = PullRequest { rows: limits::PULL_ROWS_MAX + 1, ..pull_request() };
    assert_eq!(from_bytes::<PullRequest>(&to_bytes(&wide)), Err(Error::TooLarge(Limit::Element)));
    let scopes = vec![grants()[0].clone(); limits::SCOPES_MAX + 1];
    let head = serde_json::to_vec(&PullHead { grants: Some(scopes), ..pull_head() }).unwrap();
    let head = [&head[..], b"\n"].concat();
    assert_eq!(parts::<PullReply>(&Encoding::Identity, &head, 999).1, Err(Error::Malformed { line: 1 }));
}

#[test]
fn nothing_follows_the_end() {
    let bytes = message::<PushRequest>(&Encoding::Identity, &push_head(), &[], PushEnd { n: 0 });
    let line = 3;
    for more in ["x", "\n", "{}\n", "{\"end\":{\"n\":0}}\n"] {
        let text = [&bytes[..], more.as_bytes()].concat();
        let (_, result) = parts::<PushRequest>(&Encoding::Identity, &text, 9);
        assert_eq!(result, Err(Error::Order { line }), "{more:?}");
    }
}

#[test]
fn finding_nothing_new_takes_three_hundred_bytes() {
    let asked = to_bytes(&noop_pull_request());
    let answered = message::<PullReply>(&Encoding::Identity, &pull_head(), &[], pull_end(0));
    assert!(asked.len() + answered.len() <= 300, "{} + {}", asked.len(), answered.len());
}

#[test]
fn a_stale_answer_does_not_stand() {
    let asked = pull_request();
    assert!(asked.stands(&PullRequest { req: RequestId::new(2), ack: sequence(414), ..asked.clone() }));
    let mut generation = asked.clone();
    generation.hydrating[0].1 = Generation::new(5).unwrap();
    for now in [
        PullRequest { cursor: None, ..asked.clone() },
        PullRequest { scopes: ScopeSet::of(&grants()), ..asked.clone() },
        PullRequest { hydrating: vec![], ..asked.clone() },
        PullRequest { incarnation: Incarnation::new(1), ..asked.clone() },
        generation,
    ] {
        assert!(!asked.stands(&now));
    }
}

#[test]
fn void_cursors_are_refused_by_their_kind() {
    let horizon = Horizon { epoch: EPOCH, floor: position(120_000), clock: position(184_905) };
    for (cursor, reason) in [
        ("e7a15f003b2c9d44:119999", ResyncReason::Floor),
        ("e7a15f003b2c9d44:184906", ResyncReason::Ahead),
        ("e7a15f003b2c9d45:184905", ResyncReason::Epoch),
    ] {
        let error = horizon.resolve(cursor.parse().unwrap()).unwrap_err();
        assert_eq!(Refusal::from(&Error::from(error)), Refusal::Resync(reason));
    }
    for forged in ["e7a15f003b2c9d44:1e5", "184905", "e7a15f003b2c9d44:-1", "*:184905"] {
        let text = String::from_utf8(to_bytes(&pull_request())).unwrap();
        let text = text.replace("e7a15f003b2c9d44:184467", forged);
        let error = from_bytes::<PullRequest>(text.as_bytes()).unwrap_err();
        assert_eq!(Refusal::from(&error), Refusal::BadRequest, "{forged}");
    }
}

#[test]
fn nothing_of_a_message_is_in_the_text_of_an_error() {
    let canary = "Canary-9c1f";
    for text in [
        format!(r#"{{"seq":"{canary}"}}"#),
        format!(r#"{{"seq":1,"op":"{canary}"}}"#),
        format!(r#"{{"seq":1,"op":"delete","t":"{canary}","i":"1","base":1}}"#),
        format!(r#"{{"seq":1,"op":"create","base":0,"r":{{"resourceType":"{canary}","id":"1"}}}}"#),
        format!(r#"{{"seq":1,"o":"{canary}"}}"#),
    ] {
        for error in
            [Frozen::thaw(text.as_bytes()).unwrap_err(), Settlement::from_bytes(text.as_bytes()).unwrap_err()]
        {
            assert!(!format!("{error} {error:?}").contains(canary));
        }
    }
    let shown = format!("{:?} {:?} {:?}", body(PATIENT), enrol_request(), lease());
    assert!(!shown.contains("Ada") && !shown.contains("K7Q2") && !shown.contains("AAEC"));
}
