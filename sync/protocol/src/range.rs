//! Ranges: where two sides of a very large scope differ, without sending it.
//!
//! Each member has a place, the first 64 bits of the SHA-256 of `<type>/<id>`, written as 16 hexadecimal digits. A
//! range is a prefix of places, and sixteen longer prefixes split it. The device claims what it holds in some ranges;
//! the server answers for each that it is the same, or with the digests of the sixteen parts, or, once a range is
//! small, with its members.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::body::ResourceKey;
use crate::digest::{Digest, Member, Sums};
use crate::document::Document;
use crate::error::{Error, Limit, Result};
use crate::hash::Hash;
use crate::hex64::Epoch;
use crate::limits::{DIGEST_BYTES_MAX, RANGE_ROWS_MAX, RANGES_MAX};
use crate::number::{Generation, Position, Version};
use crate::scope::Scope;
use crate::text::as_text;

/// Digits of a place.
const DIGITS_MAX: u32 = 16;

/// The places that begin with some hexadecimal digits; with none, all of them.
///
/// ```
/// use keepwell_protocol::Range;
/// let range: Range = "a3".parse()?;
/// assert!(range.contains(0xa3ff_0000_0000_0000));
/// assert_eq!(range.parts().expect("it is not a single place")[15].to_string(), "a3f");
/// # Ok::<(), keepwell_protocol::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Range {
    digits: u32,
    /// The digits, at the upper end.
    prefix: u64,
}

impl Range {
    /// All places.
    pub const ALL: Self = Self { digits: 0, prefix: 0 };

    /// The place of a resource.
    #[must_use]
    pub fn place(key: &ResourceKey) -> u64 {
        let hash = Hash::of(key.to_string().as_bytes());
        hash.as_bytes()[..8].iter().fold(0, |place, byte| place << 8 | u64::from(*byte))
    }

    /// Whether the place is in this range.
    #[must_use]
    pub fn contains(self, place: u64) -> bool {
        (self.first()..=self.last()).contains(&place)
    }

    /// The lowest place.
    #[must_use]
    pub fn first(self) -> u64 {
        self.prefix
    }

    /// The highest place.
    #[must_use]
    pub fn last(self) -> u64 {
        self.prefix | u64::MAX.checked_shr(4 * self.digits).unwrap_or(0)
    }

    /// Its sixteen parts, from the lowest; none of a single place.
    #[must_use]
    pub fn parts(self) -> Option<[Self; 16]> {
        let digits = self.digits + 1;
        let shift = 64_u32.checked_sub(4 * digits)?;
        let part = |digit: usize| Self { digits, prefix: self.prefix | (digit as u64) << shift };
        Some(std::array::from_fn(part))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:016x}", self.prefix);
        f.write_str(&text[..self.digits as usize])
    }
}

impl FromStr for Range {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_prefix = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let digits = u32::try_from(text.len()).ok().filter(|digits| *digits <= DIGITS_MAX && is_prefix);
        let digits = digits.ok_or(Error::MALFORMED)?;
        if digits == 0 {
            return Ok(Self::ALL);
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| Error::MALFORMED)?;
        Ok(Self { digits, prefix: number << (64 - 4 * digits) })
    }
}

as_text!(Range);

/// What a side holds in a range, as `["a3",7,"<sums>"]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RangeClaim(pub Range, pub u64, pub Sums);

impl RangeClaim {
    /// A claim.
    #[must_use]
    pub fn new(range: Range, digest: Digest) -> Self {
        Self(range, digest.count(), digest.sums())
    }

    /// What is claimed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_parts(self.1, self.2)
    }
}

/// `POST /sync/v1/digest`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DigestRequest {
    /// The version of the protocol.
    pub v: u32,
    /// The scope.
    pub scope: Scope,
    /// In which generation the device holds it.
    #[serde(rename = "gen")]
    pub generation: Generation,
    /// What the device holds.
    pub ranges: Vec<RangeClaim>,
}

impl Document for DigestRequest {
    fn check(&self) -> Result<()> {
        if self.ranges.len() > RANGES_MAX { Err(Error::TooLarge(Limit::Element)) } else { Ok(()) }
    }
}

/// What the server holds in a range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The same.
    Same,
    /// Something else, in these parts.
    Parts(Box<[Digest; 16]>),
    /// Something else, which is this.
    Members(Vec<Member>),
}

/// The answer for one range.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Answer", into = "Answer")]
pub struct RangeAnswer {
    /// Which range.
    pub range: Range,
    /// What is there.
    pub verdict: Verdict,
}

impl RangeAnswer {
    /// Compares what a device claims with what the server holds in that range.
    #[must_use]
    pub fn compare(claim: &RangeClaim, members: &[Member]) -> Self {
        let range = claim.0;
        let verdict = match range.parts() {
            _ if Digest::of(members) == claim.digest() => Verdict::Same,
            Some(parts) if members.len() > RANGE_ROWS_MAX => {
                Verdict::Parts(Box::new(parts.map(|part| {
                    Digest::of(members.iter().filter(|own| part.contains(Range::place(&own.key))))
                })))
            }
            _ => Verdict::Members(members.to_vec()),
        };
        Self { range, verdict }
    }
}

/// Answer to a request for digests, as of one snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DigestReply {
    /// The server's history.
    pub epoch: Epoch,
    /// Its newest position.
    pub clock: Position,
    /// An answer for each range of the request, in its order.
    pub ranges: Vec<RangeAnswer>,
}

impl Document for DigestReply {
    const BYTES_MAX: usize = DIGEST_BYTES_MAX;

    fn check(&self) -> Result<()> {
        if self.ranges.len() > RANGES_MAX { Err(Error::TooLarge(Limit::Element)) } else { Ok(()) }
    }
}

/// An answer as it is written: one of the three.
#[derive(Serialize, Deserialize)]
struct Answer {
    at: Range,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    same: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<[(u64, Sums); 16]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<(String, Version, Hash)>>,
}

impl From<RangeAnswer> for Answer {
    fn from(RangeAnswer { range, verdict }: RangeAnswer) -> Self {
        let mut answer = Self { at: range, same: false, parts: None, rows: None };
        match verdict {
            Verdict::Same => answer.same = true,
            Verdict::Parts(parts) => {
                answer.parts = Some(parts.map(|digest| (digest.count(), digest.sums())));
            }
            Verdict::Members(members) => {
                let row = |member: Member| (member.key.to_string(), member.version, member.hash);
                answer.rows = Some(members.into_iter().map(row).collect());
            }
        }
        answer
    }
}

impl TryFrom<Answer> for RangeAnswer {
    type Error = Error;

    fn try_from(answer: Answer) -> Result<Self> {
        let verdict = match (answer.same, answer.parts, answer.rows) {
            (true, None, None) => Verdict::Same,
            (false, Some(parts), None) => {
                Verdict::Parts(Box::new(parts.map(|(count, sums)| Digest::from_parts(count, sums))))
            }
            (false, None, Some(rows)) => {
                Verdict::Members(rows.into_iter().map(member).collect::<Result<_>>()?)
            }
            _ => return Err(Error::Contradiction),
        };
        Ok(Self { range: answer.at, verdict })
    }
}

fn member((key, version, hash): (String, Version, Hash)) -> Result<Member> {
    let (kind, id) = key.split_once('/').ok_or(Error::MALFORMED)?;
    Ok(Member { key: ResourceKey::from_texts(kind, id)?, version, hash })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(number: u32, version: u64) -> Member {
        Member {
            key: ResourceKey::from_texts("ValueSet", &format!("v{number}")).unwrap(),
            version: Version::new(version).unwrap(),
            hash: Hash::of(&version.to_be_bytes()),
        }
    }

    fn within(members: &[Member], range: Range) -> Vec<Member> {
        members.iter().filter(|member| range.contains(Range::place(&member.key))).cloned().collect()
    }

    /// Asks until every range is the same or small, and gives the server's members of what differs.
    fn reconcile(device: &[Member], server: &[Member]) -> (Vec<Member>, usize) {
        let (mut open, mut found, mut asked) = (vec![Range::ALL], Vec::new(), 0);
        while let Some(range) = open.pop() {
            asked += 1;
            let claim = RangeClaim::new(range, Digest::of(&within(device, range)));
            match RangeAnswer::compare(&claim, &within(server, range)).verdict {
                Verdict::Same => {}
                Verdict::Members(members) => found.extend(members),
                Verdict::Parts(digests) => {
                    for (part, digest) in range.parts().unwrap().into_iter().zip(*digests) {
                        if digest != Digest::of(&within(device, part)) {
                            open.push(part);
                        }
                    }
                }
            }
        }
        (found, asked)
    }

    #[test]
    fn a_few_questions_find_what_differs() {
        let server: Vec<_> = (0..20_000).map(|number| member(number, 1)).collect();
        let mut device = server.clone();
        device[77] = member(77, 2);
        device.remove(4_000);
        let (found, asked) = reconcile(&device, &server);
        assert!(found.contains(&server[77]) && found.contains(&server[4_000]));
        assert!(asked <= 8 && found.len() <= 2 * RANGE_ROWS_MAX, "{asked} {}", found.len());
        assert_eq!(reconcile(&server, &server), (vec![], 1));
    }

    #[test]
    fn a_range_has_one_spelling() {
        for text in ["", "0", "a3", "ffffffffffffffff", "0000000000000000"] {
            assert_eq!(text.parse::<Range>().unwrap().to_string(), text);
        }
        for text in ["g", "A", "+1", "00000000000000000", " "] {
            assert_eq!(text.parse::<Range>(), Err(Error::MALFORMED), "{text}");
        }
        assert_eq!("ffffffffffffffff".parse::<Range>().unwrap().parts(), None);
        assert_eq!(Range::ALL.last(), u64::MAX);
    }

    #[test]
    fn an_answer_says_one_thing() {
        for text in [
            r#"{"at":"a"}"#,
            r#"{"at":"a","same":true,"rows":[]}"#,
            r#"{"at":"a","rows":[["Patient",1,"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"]]}"#,
            r#"{"at":"a","parts":[]}"#,
        ] {
            assert!(serde_json::from_str::<RangeAnswer>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parts_are_all_of_a_range(prefix in "[0-9a-f]{0,15}", place in any::<u64>()) {
            let range: Range = prefix.parse().unwrap();
            let parts = range.parts().unwrap();
            let holding = parts.iter().filter(|part| part.contains(place)).count();
            prop_assert_eq!(holding, usize::from(range.contains(place)));
            prop_assert_eq!((parts[0].first(), parts[15].last()), (range.first(), range.last()));
        }
    }
}
