//! The few elements of DER (X.690) that are read here by hand.

/// Tags.
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const VERSION: u8 = 0xa0;

/// Takes the next element off `rest` and gives its content, if it has this tag. Lengths are in the shortest form.
pub(crate) fn element<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (head, after) = match **rest {
        [found, length, ..] if found == tag && length < 0x80 => (2, usize::from(length)),
        [found, 0x81, length, ..] if found == tag && length >= 0x80 => (3, usize::from(length)),
        [found, 0x82, high, low, ..] if found == tag && high > 0 => {
            (4, usize::from(high) << 8 | usize::from(low))
        }
        _ => return None,
    };
    let content = rest.get(head..head + after)?;
    *rest = &rest[head + after..];
    Some(content)
}
