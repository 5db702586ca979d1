//! The tokens of FHIRPath, as far as SearchParameters use them.

use super::Refusal;

/// A token and where it starts, in characters from 0.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) at: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum TokenKind {
    /// A name or keyword, backticks removed.
    Name(String),
    /// The name behind a `%`.
    Variable(String),
    /// A text, without its quotes and escapes.
    Text(String),
    Number(String),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 10] = ["!=", "(", ")", "[", "]", ".", ",", "|", "=", "$"];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let refused = |what| Refusal { at, what };
        let Some(first) = rest.chars().next() else {
            tokens.push(Token { kind: TokenKind::End, at });
            return Ok(tokens);
        };
        let (kind, length) = match first {
            '\'' => text_token(rest)
                .ok_or_else(|| refused("a text without its end, or with an escape that is not known"))?,
            '`' => {
                let end = rest[1..].find('`').ok_or_else(|| refused("a name without its end"))?;
                (TokenKind::Name(rest[1..=end].to_owned()), end + 2)
            }
            '%' => {
                let length = name_length(&rest[1..]);
                (TokenKind::Variable(rest[1..=length].to_owned()), length + 1)
            }
            '0'..='9' => {
                let length = number_length(rest);
                (TokenKind::Number(rest[..length].to_owned()), length)
            }
            _ if name_length(rest) > 0 => {
                let length = name_length(rest);
                (TokenKind::Name(rest[..length].to_owned()), length)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| refused("a character or operator that is not supported"))?;
                (TokenKind::Sign(sign), sign.len())
            }
        };
        tokens.push(Token { kind, at });
        rest = &rest[length..];
    }
}

fn name_length(text: &str) -> usize {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let starts = text.chars().next().is_some_and(|char| is_part(char) && !char.is_ascii_digit());
    if starts { text.find(|char| !is_part(char)).unwrap_or(text.len()) } else { 0 }
}

/// Digits, and a fraction if a digit follows the point.
fn number_length(text: &str) -> usize {
    let digits = |text: &str| text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(text);
    match text[whole..].strip_prefix('.').map(digits) {
        Some(fraction) if fraction > 0 => whole + 1 + fraction,
        _ => whole,
    }
}

fn text_token(text: &str) -> Option<(TokenKind, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '\'' => return Some((TokenKind::Text(out), at + 1)),
            '\\' => out.push(match chars.next()?.1 {
                escaped @ ('\'' | '"' | '`' | '\\' | '/') => escaped,
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                _ => return None,
            }),
            _ => out.push(char),
        }
    }
    None
}
