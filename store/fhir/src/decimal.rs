//! Decimals that keep their digits.
//!
//! In FHIR `1.10` is not `1.1`: the written precision says how exact a measurement is (R4
//! datatypes.html#decimal, search.html#number). A [`Decimal`] is exact: no float is ever involved.

use std::cmp::Ordering;
use std::fmt;

/// A number as it was written: `mantissa * 10^-scale`, with its count of significant digits.
///
/// ```
/// use keepwell_fhir::Decimal;
/// let a = Decimal::parse("1.10").expect("a decimal");
/// let b = Decimal::parse("1.1").expect("a decimal");
/// assert!(a != b && a.compare(b) == std::cmp::Ordering::Equal);
/// assert_eq!((a.mantissa(), a.scale(), a.significant_digits()), (110, 2, 3));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Decimal {
    mantissa: i128,
    scale: i32,
    digits: u32,
}

impl Decimal {
    /// Reads a FHIR decimal. `None` if the text is not one, or if its digits do not fit an `i128` (38 digits
    /// always do) or its exponent an `i32`; trailing and leading zeros count as digits of the mantissa.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (number, exponent) = match rest.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, parse_exponent(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (number, ""),
        };
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let mut mantissa = 0_i128;
        let mut digits = 0;
        for b in whole.bytes().chain(fraction.bytes()) {
            let digit = b.is_ascii_digit().then(|| i128::from(b - b'0'))?;
            mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
            // Zeros before the first other digit only place the point.
            digits += u32::from(mantissa != 0);
        }
        if mantissa == 0 {
            // Of a zero, every written fraction digit is significant, and at least one digit is.
            digits = u32::try_from(fraction.len()).ok()?.max(1);
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(Self { mantissa: if negative { -mantissa } else { mantissa }, scale, digits })
    }

    /// All written digits as one integer.
    #[must_use]
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// How far the point stands left of the mantissa's end; negative for `1e3`.
    #[must_use]
    pub const fn scale(self) -> i32 {
        self.scale
    }

    /// How many digits are significant: `100` has 3, `1e2` has 1, `0.010` has 2.
    #[must_use]
    pub const fn significant_digits(self) -> u32 {
        self.digits
    }

    /// Compares the values, whatever their precision.
    #[must_use]
    pub fn compare(self, other: Self) -> Ordering {
        let sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if sign != Ordering::Equal || self.mantissa == 0 {
            return sign;
        }
        let magnitude = self.compare_magnitude(other);
        if self.mantissa < 0 { magnitude.reverse() } else { magnitude }
    }

    /// The same value without zeros at its end, so that equal values have equal parts.
    #[must_use]
    pub const fn normalized(self) -> (i128, i32) {
        if self.mantissa == 0 {
            return (0, 0);
        }
        let (mut mantissa, mut scale) = (self.mantissa, self.scale);
        while mantissa % 10 == 0 && scale > i32::MIN {
            mantissa /= 10;
            scale -= 1;
        }
        (mantissa, scale)
    }

    fn compare_magnitude(self, other: Self) -> Ordering {
        // The place of the leading digit decides first; only then can aligning the points not overflow far.
        let place = |d: Self| i64::from(d.mantissa.unsigned_abs().ilog10()) - i64::from(d.scale);
        place(self).cmp(&place(other)).then_with(|| {
            let (a, a_scale) = self.normalized();
            let (b, b_scale) = other.normalized();
            // Normalised and with the leading digits aligned, the scales differ by at most 38.
            let up = |mantissa: i128, by: i64| {
                let factor = 10_u128.checked_pow(u32::try_from(by.max(0)).ok()?)?;
                mantissa.unsigned_abs().checked_mul(factor)
            };
            let gap = i64::from(a_scale) - i64::from(b_scale);
            match (up(a, -gap), up(b, gap)) {
                (Some(a), Some(b)) => a.cmp(&b),
                // 10^38 fits a u128 and the aligned magnitudes have the same number of digits, at most 39.
                _ => unreachable!("aligned magnitudes have at most 39 digits"),
            }
        })
    }
}

impl fmt::Display for Decimal {
    /// Plain digits where the point lies within or just before them, an exponent otherwise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs();
        match usize::try_from(self.scale) {
            Ok(0) => write!(f, "{sign}{digits}"),
            Ok(scale) if scale <= 38 => {
                let text = format!("{digits:0width$}", width = scale + 1);
                let (whole, fraction) = text.split_at(text.len() - scale);
                write!(f, "{sign}{whole}.{fraction}")
            }
            _ => write!(f, "{sign}{digits}e{}", -i64::from(self.scale)),
        }
    }
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> (i128, i32, u32) {
        let decimal = Decimal::parse(text).expect("the text is a decimal");
        (decimal.mantissa(), decimal.scale(), decimal.significant_digits())
    }

    #[test]
    fn digits_and_precision_are_kept() {
        for (text, expected) in [
            ("0", (0, 0, 1)),
            ("-0.0", (0, 1, 1)),
            ("0.00", (0, 2, 2)),
            ("1.10", (110, 2, 3)),
            ("0.0100", (100, 4, 3)),
            ("100", (100, 0, 3)),
            ("1e2", (1, -2, 1)),
            ("1.0E-22", (10, 23, 2)),
            ("-12.5e+1", (-125, 0, 3)),
            (
                "99999999999999999999999999999999999999",
                (99_999_999_999_999_999_999_999_999_999_999_999_999, 0, 38),
            ),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_fhir_decimal_is_refused() {
        for text in [
            "",
            "-",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1e+-1",
            "0x1",
            "1_0",
            " 1",
            "NaN",
            "1e99999999999",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_compare_whatever_their_spelling() {
        for (a, b, expected) in [
            ("1.10", "1.1", Ordering::Equal),
            ("1e2147483600", "1e-2147483600", Ordering::Greater),
            ("-2", "1e-40", Ordering::Less),
            ("0", "-0.000", Ordering::Equal),
            ("-10", "-9.99", Ordering::Less),
            ("1e38", "100000000000000000000000000000000000000", Ordering::Equal),
            ("170141183460469231731687303715884105727", "1e38", Ordering::Greater),
            ("170141183460469231731687303715884105727", "2e38", Ordering::Less),
        ] {
            let (a, b) = (Decimal::parse(a).expect("a decimal"), Decimal::parse(b).expect("a decimal"));
            assert_eq!((a.compare(b), b.compare(a)), (expected, expected.reverse()), "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn display_keeps_value_and_digits(mantissa in any::<i64>(), scale in -60_i32..60) {
            let decimal = Decimal::parse(&format!("{mantissa}e{}", -scale)).expect("a decimal");
            let again = Decimal::parse(&decimal.to_string()).expect("a decimal");
            prop_assert_eq!((again.mantissa(), again.scale()), (decimal.mantissa(), decimal.scale()));
        }

        #[test]
        fn comparison_agrees_with_exact_integers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, zeros in 0_usize..20) {
            let text = format!("{b}.{}", "0".repeat(zeros + 1));
            let (left, right) = (Decimal::parse(&a.to_string()), Decimal::parse(&text));
            let (left, right) = (left.expect("a decimal"), right.expect("a decimal"));
            prop_assert_eq!(left.compare(right), a.cmp(&b));
            prop_assert_eq!(left.normalized() == right.normalized(), a == b);
        }
    }
}
