//! Exact decimal numbers of search.
//!
//! A [`Number`] is `mantissa * 10^exponent`: it compares, adds and multiplies without floats, so that a value at the
//! border of a range falls on the same side wherever it is compared.
//!
//! Invariants: the mantissa has at most [`MAX_DIGITS`] digits and no zero at its end; zero has exponent 0.

use std::cmp::Ordering;

use keepwell_fhir::Decimal;

/// More digits than this are rounded off: no measurement has them.
pub const MAX_DIGITS: u32 = 34;

/// Exponents of values beyond 10^[`MAX_MAGNITUDE`] are cut to this; no quantity of nature reaches it.
const MAX_MAGNITUDE: i32 = 30_000;

/// An exact decimal number.
///
/// ```
/// use keepwell_search::Number;
/// let (low, high) = Number::implicit_range("5.40").expect("a decimal");
/// assert!(Number::parse("5.395").is_some_and(|number| number == low));
/// assert!(Number::parse("5.405").is_some_and(|number| number == high));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Number {
    mantissa: i128,
    exponent: i32,
}

impl Number {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0 };
    /// One.
    pub const ONE: Self = Self { mantissa: 1, exponent: 0 };

    /// More than any other number: where a range has no end.
    pub const FAR: Self = Self { mantissa: 1, exponent: MAX_MAGNITUDE - 1 };

    /// `mantissa * 10^exponent`, rounded to [`MAX_DIGITS`] digits.
    #[must_use]
    pub fn new(mantissa: i128, exponent: i64) -> Self {
        let (mut mantissa, mut exponent) = (mantissa, exponent);
        while digits(mantissa) > MAX_DIGITS {
            mantissa = (mantissa + 5 * mantissa.signum()) / 10;
            exponent += 1;
        }
        if mantissa == 0 {
            return Self::ZERO;
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        let place = i64::from(digits(mantissa));
        let most = i64::from(MAX_MAGNITUDE);
        let exponent = exponent.clamp(-most - place, most - place);
        Self { mantissa, exponent: i32::try_from(exponent).unwrap_or(0) }
    }

    /// Reads a decimal as FHIR writes it, with any number of digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Written::parse(text).map(|written| written.number)
    }

    /// The first number that a decimal stands for by its written digits, and the first one that it does not: 100 is
    /// 99.5 to 100.5, 1.00e2 the same, 1e2 and 1.0e2 are 95 to 105 (R4 search.html#number).
    #[must_use]
    pub fn implicit_range(text: &str) -> Option<(Self, Self)> {
        Some(Written::parse(text)?.range())
    }

    /// The number as a float, the nearest one but for its last bits.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        format!("{}e{}", self.mantissa, self.exponent).parse().unwrap_or(0.0)
    }

    /// The exact sum, if it has not too many digits.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let gap = high.exponent.abs_diff(low.exponent);
        match 10_i128.checked_pow(gap).and_then(|factor| high.mantissa.checked_mul(factor)) {
            Some(aligned) => Self::new(aligned.saturating_add(low.mantissa), i64::from(low.exponent)),
            // More than 38 digits apart: the smaller one is beyond all digits, unless the larger is zero.
            None if high.place() >= low.place() => high,
            None => low,
        }
    }

    /// The product, exact if it has not too many digits.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let exponent = i64::from(self.exponent) + i64::from(other.exponent);
        if let Some(mantissa) = self.mantissa.checked_mul(other.mantissa) {
            return Self::new(mantissa, exponent);
        }
        let (left, left_cut) = self.rounded(19);
        let (right, right_cut) = other.rounded(19);
        Self::new(left.saturating_mul(right), exponent + left_cut + right_cut)
    }

    /// The quotient to 18 digits; zero if `other` is zero.
    #[must_use]
    pub fn divided_by(self, other: Self) -> Self {
        if other.mantissa == 0 || self.mantissa == 0 {
            return Self::ZERO;
        }
        let (right, cut) = other.rounded(18);
        let shift = 37_u32.saturating_sub(digits(self.mantissa));
        let left = self.mantissa * 10_i128.pow(shift);
        let exponent = i64::from(self.exponent) - i64::from(shift) - i64::from(other.exponent) - cut;
        Self::new(left / right, exponent)
    }

    /// The number with so many digits at most.
    #[must_use]
    pub fn to_digits(self, most: u32) -> Self {
        let (mantissa, cut) = self.rounded(most + 1);
        let rest = mantissa % 10;
        let is_longer = digits(mantissa) > most;
        let mantissa =
            if is_longer { mantissa / 10 + i128::from(rest.abs() >= 5) * rest.signum() } else { mantissa };
        Self::new(mantissa, i64::from(self.exponent) + cut + i64::from(is_longer))
    }

    /// The number without its sign.
    #[must_use]
    pub const fn magnitude(self) -> Self {
        Self { mantissa: self.mantissa.abs(), exponent: self.exponent }
    }

    /// The number with the other sign.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, exponent: self.exponent }
    }

    /// Writes the number so that the order of the bytes is the order of the numbers, and no number begins with the
    /// bytes of another.
    pub fn encode(self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.mantissa == 0 {
            out.push(ZERO);
            return;
        }
        out.push(POSITIVE);
        let place = self.place();
        match i8::try_from(place) {
            Ok(place) if (-60..=60).contains(&place) => out.push(place.wrapping_add(64).cast_unsigned()),
            _ => {
                out.push(if place < 0 { 0x01 } else { 0xfe });
                out.extend((place + 0x4000_0000).cast_unsigned().to_be_bytes());
            }
        }
        let mut text = [0_u8; 40];
        let count = decimal_digits(self.mantissa.unsigned_abs(), &mut text);
        // Two digits a byte, from 1, so that the zero byte at the end sorts first.
        for pair in text[..count].chunks(2) {
            out.push(pair[0] * 10 + pair.get(1).unwrap_or(&0) + 1);
        }
        out.push(0);
        if self.mantissa < 0 {
            for byte in &mut out[start..] {
                *byte = !*byte;
            }
        }
    }

    /// Reads what [`Self::encode`] wrote, and returns what follows it.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&first, rest) = bytes.split_first()?;
        if first == ZERO {
            return Some((Self::ZERO, rest));
        }
        let flip = if first == POSITIVE { 0 } else { 0xff };
        let byte = |at: usize| rest.get(at).map(|byte| byte ^ flip);
        let (place, mut at) = match byte(0)? {
            0x01 | 0xfe => {
                let mut value = [0; 4];
                for (place, slot) in value.iter_mut().enumerate() {
                    *slot = byte(1 + place)?;
                }
                (i32::from_be_bytes(value) - 0x4000_0000, 5)
            }
            near => (i32::from(near) - 64, 1),
        };
        let mut mantissa = 0_i128;
        let mut count = 0_i64;
        loop {
            let pair = byte(at)?;
            at += 1;
            if pair == 0 {
                break;
            }
            mantissa = mantissa.checked_mul(100)?.checked_add(i128::from(pair) - 1)?;
            count += 2;
        }
        let sign = if flip == 0 { 1 } else { -1 };
        Some((Self::new(mantissa * sign, i64::from(place) - count), &rest[at..]))
    }

    /// The power of ten above the leading digit: 1 for 1 to 9.99, 0 for 0.1.
    fn place(self) -> i32 {
        self.exponent + digits(self.mantissa).cast_signed()
    }

    /// The mantissa with at most so many digits, and how many were cut.
    fn rounded(self, most: u32) -> (i128, i64) {
        let (mut mantissa, mut cut) = (self.mantissa, 0);
        while digits(mantissa) > most {
            mantissa /= 10;
            cut += 1;
        }
        (mantissa, cut)
    }
}

const ZERO: u8 = 0x80;
const POSITIVE: u8 = 0xc0;

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if sign != Ordering::Equal || self.mantissa == 0 {
            return sign;
        }
        let magnitude = self.place().cmp(&other.place()).then_with(|| {
            let aligned = |number: Self| {
                number.mantissa.unsigned_abs() * 10_u128.pow(MAX_DIGITS - digits(number.mantissa))
            };
            aligned(*self).cmp(&aligned(*other))
        });
        if self.mantissa < 0 { magnitude.reverse() } else { magnitude }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::new(i128::from(value), 0)
    }
}

/// A number with the place of its last written digit.
struct Written {
    number: Number,
    last_place: i64,
}

impl Written {
    fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
        if let Some(decimal) = Decimal::parse(text) {
            // The specification reads 1e2 as 95 to 105: what has an exponent has at least two digits.
            let is_one_digit = !exponent.is_empty() && decimal.significant_digits() == 1;
            let last_place = -i64::from(decimal.scale());
            let number = Number::new(decimal.mantissa(), last_place);
            return Some(Self { number, last_place: last_place - i64::from(is_one_digit) });
        }
        // Too many digits for a decimal: those that no measurement has are dropped before it is read.
        let (whole, fraction) = number.split_once('.')?;
        let kept = fraction.get(..fraction.len().min(20))?;
        let rest_is_digits = fraction.bytes().all(|b| b.is_ascii_digit());
        let decimal = Decimal::parse(&format!("{whole}.{kept}{exponent}")).filter(|_| rest_is_digits)?;
        let last_place = -i64::from(decimal.scale());
        Some(Self { number: Number::new(decimal.mantissa(), last_place), last_place })
    }

    /// Half a unit of the last written digit to both sides.
    fn range(&self) -> (Number, Number) {
        let half = Number::new(5, self.last_place - 1);
        (self.number.plus(half.negated()), self.number.plus(half))
    }
}

fn digits(mantissa: i128) -> u32 {
    mantissa.unsigned_abs().checked_ilog10().map_or(1, |place| place + 1)
}

/// Fills the buffer with the digits of the number, the first one first; returns how many.
fn decimal_digits(mut value: u128, out: &mut [u8; 40]) -> usize {
    let count = value.checked_ilog10().map_or(1, |place| place as usize + 1);
    for slot in out[..count].iter_mut().rev() {
        *slot = u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        Number::parse(text).expect("the text is a decimal")
    }

    #[test]
    fn the_written_digits_say_what_a_number_stands_for() {
        for (text, low, high) in [
            ("100", "99.5", "100.5"),
            ("1e2", "95", "105"),
            ("100.00", "99.995", "100.005"),
            ("0", "-0.5", "0.5"),
            ("-5.4", "-5.45", "-5.35"),
            ("2e-3", "0.00195", "0.00205"),
            ("1.00e2", "99.5", "100.5"),
        ] {
            let range = Number::implicit_range(text).expect("the text is a decimal");
            assert_eq!(range, (number(low), number(high)), "{text}");
        }
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        for text in ["1e2147483647", "-9e-2147483640", "99999999999999999999999999999999999999"] {
            let value = number(text);
            let _ = (value.plus(value), value.times(value), value.divided_by(value), value.to_f64());
            let mut bytes = Vec::new();
            value.encode(&mut bytes);
            assert_eq!(Number::decode(&bytes), Some((value, &[][..])), "{text}");
        }
        assert!(Number::parse(&format!("0.{}", "1".repeat(500))).is_some());
        assert_eq!(Number::parse("0.1x"), None);
    }

    proptest! {
        #[test]
        fn bytes_sort_as_numbers_do(a in any::<i64>(), b in any::<i64>(), e in -70_i64..70, f in -70_i64..70) {
            let (a, b) = (Number::new(i128::from(a), e), Number::new(i128::from(b), f));
            let (mut left, mut right) = (Vec::new(), Vec::new());
            a.encode(&mut left);
            b.encode(&mut right);
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(Number::decode(&left), Some((a, &[][..])));
        }

        #[test]
        fn sums_and_products_agree_with_integers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000) {
            let (left, right) = (Number::from(a), Number::from(b));
            prop_assert_eq!(left.plus(right), Number::from(a + b));
            prop_assert_eq!(left.times(right), Number::from(a * b));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            if b != 0 {
                prop_assert_eq!(left.times(right).divided_by(right), left);
            }
        }
    }
}
