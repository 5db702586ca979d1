//! Makes the dictionary of the wire: bodies as the store's dictionary knows them, then lines of messages.
//!
//! ```text
//! cargo run -p keepwell-protocol --example make_dictionary -- wire.dict store/store/src/body.dict \
//!     sync/protocol/tests/golden/*.ndjson
//! ```
//!
//! Both come from generated records alone. The tables of the store's dictionary stay, its number becomes another; what
//! stands last is cheapest to refer to, so the lines do. The committed dictionary never changes; a better one joins it.

use std::error::Error;
use std::fs;

/// Any above 32,767 and below 2^31 that no other dictionary has.
const NUMBER: u32 = 0x4b57_0001;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [out, bodies, lines @ ..] = &arguments[..] else { return Err("OUT BODIES LINES..".into()) };
    let bodies = fs::read(bodies)?;
    let (magic, tables) = (bodies.get(..4).ok_or("no dictionary")?, bodies.get(8..).ok_or("no dictionary")?);
    let mut dictionary = [magic, &NUMBER.to_le_bytes(), tables].concat();
    for path in lines {
        dictionary.extend(fs::read(path)?);
    }
    fs::write(out, dictionary)?;
    Ok(())
}
