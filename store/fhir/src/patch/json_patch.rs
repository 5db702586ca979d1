//! JSON Patch (RFC 6902): a list of operations at JSON Pointers (RFC 6901).

use std::borrow::Cow;

use super::error::Failure;
use super::tree::Node;
use super::{MAX_COPIED_BYTES, PatchError, Patched};
use crate::MAX_DEPTH;

/// One step of a JSON Pointer, unescaped.
type Token<'p> = Cow<'p, str>;

/// Applies an RFC 6902 patch.
///
/// # Errors
/// [`PatchError`], with the operation that failed; nothing is applied then.
///
/// # Example
/// ```
/// let body = br#"{"resourceType":"Patient","id":"1","active":true}"#;
/// let patch = br#"[{"op":"replace","path":"/active","value":false}]"#;
/// let patched = keepwell_fhir::patch::json_patch(body, patch)?;
/// assert_eq!(patched, br#"{"resourceType":"Patient","id":"1","active":false}"#);
/// # Ok::<(), keepwell_fhir::patch::PatchError>(())
/// ```
pub fn json_patch(body: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
    let mut patched = Patched::parse(body)?;
    let patch = super::parse_patch(patch)?;
    let operations = patch.as_array().ok_or(PatchError::Document { reason: "not an array of operations" })?;
    super::check_count(operations.len())?;
    let mut copied_bytes = 0;
    for (number, operation) in operations.iter().enumerate() {
        patched.step(number, |document| apply(document, operation, &mut copied_bytes))?;
    }
    Ok(patched.into_bytes())
}

/// Applies one operation.
fn apply<'a>(document: &mut Node<'a>, operation: &Node<'a>, copied_bytes: &mut usize) -> Result<(), Failure> {
    let text = |name| operation.get(name).and_then(Node::as_str);
    let value = || operation.get("value").ok_or(Failure::Malformed("it has no value"));
    let from = text("from");
    let from = || {
        let from = from.as_deref().ok_or(Failure::Malformed("it has no from"))?;
        pointer(from).ok_or(Failure::Malformed("its from is not a JSON Pointer"))
    };
    let op = text("op").ok_or(Failure::Malformed("it has no op"))?;
    let path = text("path").ok_or(Failure::Malformed("it has no path"))?;
    let path = pointer(&path).ok_or(Failure::Malformed("its path is not a JSON Pointer"))?;

    match op.as_ref() {
        "add" => add(document, &path, value()?.clone()),
        "remove" => remove(document, &path).map(drop),
        "replace" => replace(document, &path, value()?.clone()),
        "move" => relocate(document, &from()?, &path),
        "copy" => {
            let source = find_mut(document, &from()?).ok_or(NOTHING)?;
            *copied_bytes += source.len_bytes();
            if *copied_bytes > MAX_COPIED_BYTES {
                return Err(Failure::Limit("it copies more than the limit"));
            }
            let copy = source.clone();
            add(document, &path, copy)
        }
        "test" if find_mut(document, &path).ok_or(NOTHING)?.same(value()?) => Ok(()),
        "test" => Err(Failure::TestFailed),
        _ => Err(Failure::Malformed("it has an unknown op")),
    }
}

const NOTHING: Failure = Failure::Target("its path or from leads to nothing");
const NO_INDEX: Failure = Failure::Target("its path or from is no index of its array");

/// Splits a JSON Pointer into its tokens; `None` when it is none.
fn pointer(text: &str) -> Option<Vec<Token<'_>>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.strip_prefix('/')?.split('/').map(token).collect()
}

/// Unescapes `~1` and `~0`, each once; `None` for any other use of `~`.
fn token(text: &str) -> Option<Token<'_>> {
    if !text.contains('~') {
        return Some(Cow::Borrowed(text));
    }
    let mut parts = text.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at_checked(1)?;
        plain.push(match escape {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        plain.push_str(rest);
    }
    Some(Cow::Owned(plain))
}

/// An array index as RFC 6901 writes it: digits, no leading zero.
fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with(['0', '+']);
    if canonical { token.parse().ok() } else { None }
}

/// The value at a pointer.
fn find_mut<'d, 'a>(document: &'d mut Node<'a>, path: &[Token<'_>]) -> Option<&'d mut Node<'a>> {
    path.iter().try_fold(document, |node, token| match node {
        Node::Array(items) => items.get_mut(index(token)?),
        other => other.get_mut(token),
    })
}

/// Adds a value: into an array at an index, to an object as a member, in place of the whole document.
fn add<'a>(document: &mut Node<'a>, path: &[Token<'_>], value: Node<'a>) -> Result<(), Failure> {
    let Some((last, parent)) = path.split_last() else { return replace(document, path, value) };
    check_depth(path, &value)?;
    match find_mut(document, parent).ok_or(NOTHING)? {
        Node::Array(items) => {
            let at = if last == "-" { Some(items.len()) } else { index(last) };
            items.insert(at.filter(|at| *at <= items.len()).ok_or(NO_INDEX)?, value);
            Ok(())
        }
        object @ Node::Object(_) => {
            object.set(last, value);
            Ok(())
        }
        Node::Scalar(_) => Err(NOTHING),
    }
}

fn replace<'a>(document: &mut Node<'a>, path: &[Token<'_>], value: Node<'a>) -> Result<(), Failure> {
    check_depth(path, &value)?;
    *find_mut(document, path).ok_or(NOTHING)? = value;
    Ok(())
}

/// Takes a value out of its array or object.
fn remove<'a>(document: &mut Node<'a>, path: &[Token<'_>]) -> Result<Node<'a>, Failure> {
    let (last, parent) = path.split_last().ok_or(Failure::Target("it takes the whole document away"))?;
    match find_mut(document, parent).ok_or(NOTHING)? {
        Node::Array(items) => {
            let at = index(last).filter(|at| *at < items.len()).ok_or(NO_INDEX)?;
            Ok(items.remove(at))
        }
        other => other.remove(last).ok_or(NOTHING),
    }
}

/// The `move` operation.
fn relocate(document: &mut Node<'_>, from: &[Token<'_>], path: &[Token<'_>]) -> Result<(), Failure> {
    if path == from {
        return find_mut(document, path).map(drop).ok_or(NOTHING);
    }
    if path.starts_with(from) {
        return Err(Failure::Malformed("it moves a value into itself"));
    }
    let value = remove(document, from)?;
    add(document, path, value)
}

/// Keeps a few operations from nesting a document without end.
fn check_depth(path: &[Token<'_>], value: &Node<'_>) -> Result<(), Failure> {
    if path.len() + value.depth() > MAX_DEPTH {
        return Err(Failure::Limit("its result is nested deeper than the limit"));
    }
    Ok(())
}
