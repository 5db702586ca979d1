//! A QR code for the terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use crate::Error;

/// The text as a QR code of half blocks, two modules to a character, with its quiet zone. Light modules are drawn, so
/// that it can be read where letters are light on a dark ground, as terminals mostly are.
///
/// # Errors
/// [`Error::Invitation`] if the text is too long for a QR code.
pub fn qr_code(text: &str) -> Result<String, Error> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|_| Error::Invitation)?;
    let image = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Ok(image)
}

#[cfg(test)]
mod tests {
    use qrcode::Color;

    use super::*;

    #[test]
    fn every_module_is_drawn_within_a_quiet_zone() {
        const QUIET: usize = 4;
        let text = "KEEPWELL:0123456789ABCDEF";
        let code = QrCode::with_error_correction_level(text, EcLevel::L).expect("a short text");
        let image = qr_code(text).expect("a short text");
        let rows: Vec<Vec<char>> = image.lines().map(|line| line.chars().collect()).collect();
        let width = code.width() + 2 * QUIET;
        assert_eq!(rows.len(), width.div_ceil(2));
        let is_light = |x: usize, y: usize| matches!((rows[y / 2][x], y % 2), ('█', _) | ('▀', 0) | ('▄', 1));
        for y in 0..width {
            for x in 0..width {
                let inside = (QUIET..width - QUIET).contains(&x) && (QUIET..width - QUIET).contains(&y);
                let dark = inside && code[(x - QUIET, y - QUIET)] == Color::Dark;
                assert_eq!(is_light(x, y), !dark, "{x} {y}");
            }
        }
    }

    #[test]
    fn the_code_of_an_invitation_fits_a_terminal() {
        let image = qr_code(&format!("KEEPWELL:{}", "A".repeat(311))).expect("as long as an invitation");
        assert!(image.lines().count() <= 33, "{} lines", image.lines().count());
        assert!(image.lines().all(|line| line.chars().count() <= 65));
    }
}
