//! Makes root keys and signs pin sets: a task for an offline machine.
//!
//! ```sh
//! pin_set root FILE                     # a new root key; prints the public half, which is built into programs
//! pin_set pin CERTIFICATE.der           # the pin of a certificate
//! pin_set sign FILE DRAFT > DOCUMENT    # signs a draft that was reviewed, or adds a signature to a document
//! ```
//! A draft is the text of a pin set:
//! ```text
//! keepwell pin set 1
//! host sync.example.org
//! number 3
//! issued 2026-11-22T00:00:00Z
//! expires 2027-11-22T00:00:00Z
//! active 2026-11-22T00:00:00Z 2027-11-22T00:00:00Z sha256/…
//! backup 2026-11-22T00:00:00Z 2028-11-22T00:00:00Z sha256/…
//! ```

#![allow(clippy::print_stdout, reason = "this is a program")]

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::{env, fmt};

use keepwell_tls::{CertificateDer, Pin, PinSet, PinSigner};
use zeroize::Zeroizing;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["root", file] => {
            let signer = PinSigner::generate()?;
            private_file(file)?.write_all(signer.seed())?;
            println!("{}", signer.root());
        }
        ["pin", certificate] => {
            println!("{}", Pin::of_certificate(&CertificateDer::from(fs::read(certificate)?))?)
        }
        ["sign", file, draft] => {
            let seed = Zeroizing::new(fs::read(file)?);
            let seed = Zeroizing::new(<[u8; 32]>::try_from(seed.as_slice())?);
            let (signer, text) = (PinSigner::from_seed(seed)?, fs::read_to_string(draft)?);
            let document = match text.parse::<PinSet>() {
                Ok(pins) => signer.sign(&pins)?,
                Err(_) => signer.sign_also(&text)?,
            };
            print!("{document}");
        }
        _ => return Err(Box::new(Usage)),
    }
    Ok(())
}

/// A new file that only its owner can read.
fn private_file(path: &str) -> std::io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[derive(Debug)]
struct Usage;

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("usage: pin_set root FILE | pin CERTIFICATE.der | sign FILE DRAFT")
    }
}

impl Error for Usage {}
