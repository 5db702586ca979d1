//! The part of FHIRPath that a patch may use to point at an element (R4 fhirpatch.html, fhirpath.html#simple).
//!
//! `Patient.name.where(use = 'official').given[0]`: element names, indices, `first()`, `last()`,
//! `where(path = literal and ...)`, `ofType(T)`, `as(T)` and `extension('url')`. Everything else is refused
//! by name instead of being half understood.

/// Steps of one path, those inside `where` counted apart.
const MAX_STEPS: usize = 64;

/// A path, borrowed from its text.
#[derive(Debug, PartialEq)]
pub(super) struct Path<'p> {
    /// The type name that the path begins with, if it does.
    pub(super) root: Option<&'p str>,
    /// What leads from there to the element.
    pub(super) steps: Vec<Step<'p>>,
}

/// One step.
#[derive(Debug, PartialEq)]
pub(super) enum Step<'p> {
    /// The children of this name.
    Child(&'p str),
    /// The element at a place in the collection.
    Index(usize),
    /// The last element of the collection.
    Last,
    /// The elements that fulfil all conditions.
    Where(Vec<Condition<'p>>),
    /// The elements of a type.
    OfType(&'p str),
    /// The extensions with a URL.
    Extension(String),
}

/// `path = literal`.
#[derive(Debug, PartialEq)]
pub(super) struct Condition<'p> {
    pub(super) steps: Vec<Step<'p>>,
    pub(super) literal: Literal<'p>,
}

/// The right side of a condition.
#[derive(Debug, PartialEq)]
pub(super) enum Literal<'p> {
    /// A string, unescaped.
    Text(String),
    /// A number or a boolean, as spelled.
    Token(&'p str),
}

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathError {
    /// It is not FHIRPath.
    Syntax(&'static str),
    /// It is FHIRPath beyond the subset.
    Unsupported(&'static str),
}

impl<'p> Path<'p> {
    /// Reads a path.
    pub(super) fn parse(text: &'p str) -> Result<Self, PathError> {
        let mut parser = Parser { rest: text };
        parser.skip_space();
        let mut root = None;
        if parser.rest.starts_with(|c: char| c.is_ascii_uppercase()) {
            root = Some(parser.identifier()?);
        }
        let steps = parser.steps(root.is_none(), true)?;
        if parser.rest.is_empty() {
            Ok(Self { root, steps })
        } else {
            Err(PathError::Unsupported("its path uses an operator or a form beyond the simple subset"))
        }
    }
}

struct Parser<'p> {
    rest: &'p str,
}

impl<'p> Parser<'p> {
    /// Steps up to something that is none. `bare` when the first one has no dot before it.
    fn steps(&mut self, mut bare: bool, conditions_allowed: bool) -> Result<Vec<Step<'p>>, PathError> {
        let mut steps = Vec::new();
        loop {
            if steps.len() == MAX_STEPS {
                return Err(PathError::Unsupported("its path has more steps than the limit"));
            }
            if bare || self.eat('.') {
                steps.push(self.named_step(conditions_allowed)?);
            } else if self.eat('[') {
                steps.push(Step::Index(self.index()?));
            } else {
                return Ok(steps);
            }
            bare = false;
        }
    }

    /// A child or a function.
    fn named_step(&mut self, conditions_allowed: bool) -> Result<Step<'p>, PathError> {
        let name = self.identifier()?;
        if !self.eat('(') {
            return Ok(Step::Child(name));
        }
        let step = match name {
            "first" => Step::Index(0),
            "last" => Step::Last,
            "ofType" | "as" => Step::OfType(self.type_name()?),
            "extension" => Step::Extension(self.string()?),
            "where" if conditions_allowed => Step::Where(self.conditions()?),
            _ => return Err(PathError::Unsupported("its path uses a function beyond the simple subset")),
        };
        self.expect(')')?;
        Ok(step)
    }

    fn conditions(&mut self) -> Result<Vec<Condition<'p>>, PathError> {
        let mut conditions = Vec::new();
        loop {
            let steps = self.steps(true, false)?;
            if !self.eat('=') {
                return Err(PathError::Unsupported("its path has a condition other than an equality"));
            }
            conditions.push(Condition { steps, literal: self.literal()? });
            match self.rest.strip_prefix("and") {
                Some(rest) if rest.starts_with(char::is_whitespace) => self.rest = rest,
                _ => return Ok(conditions),
            }
            self.skip_space();
        }
    }

    fn literal(&mut self) -> Result<Literal<'p>, PathError> {
        if self.rest.starts_with('\'') {
            return self.string().map(Literal::Text);
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let token = self.take_while(is_part);
        let digits = token.strip_prefix('-').unwrap_or(token);
        let number = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.split('.').count() <= 2
            && digits.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        if number || matches!(token, "true" | "false") {
            Ok(Literal::Token(token))
        } else {
            Err(PathError::Unsupported(
                "its path compares with something other than a string, number or boolean",
            ))
        }
    }

    /// `Quantity`, `FHIR.Quantity`.
    fn type_name(&mut self) -> Result<&'p str, PathError> {
        let name = self.identifier()?;
        if name == "FHIR" && self.eat('.') { self.identifier() } else { Ok(name) }
    }

    fn index(&mut self) -> Result<usize, PathError> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        self.expect(']')?;
        digits.parse().map_err(|_| PathError::Syntax("its path has an index that is no number"))
    }

    fn identifier(&mut self) -> Result<&'p str, PathError> {
        if self.rest.starts_with(['$', '%', '(', '`']) {
            return Err(PathError::Unsupported("its path uses a variable, parenthesis or delimited name"));
        }
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            Ok(name)
        } else {
            Err(PathError::Syntax("its path lacks an element name"))
        }
    }

    fn string(&mut self) -> Result<String, PathError> {
        let unfinished = PathError::Syntax("its path has a string that does not end or an unknown escape");
        let mut text = String::new();
        let mut chars = self.rest.strip_prefix('\'').ok_or(unfinished)?.chars();
        loop {
            match chars.next().ok_or(unfinished)? {
                '\'' => break,
                '\\' => text.push(escape(&mut chars).ok_or(unfinished)?),
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        self.skip_space();
        Ok(text)
    }

    fn expect(&mut self, c: char) -> Result<(), PathError> {
        if self.eat(c) {
            Ok(())
        } else {
            Err(PathError::Syntax("its path has an open bracket or parenthesis"))
        }
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.rest.strip_prefix(c);
        self.rest = found.unwrap_or(self.rest);
        self.skip_space();
        found.is_some()
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'p str {
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (part, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.skip_space();
        part
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

/// What follows a backslash in a FHIRPath string.
fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        c @ ('\'' | '"' | '`' | '\\' | '/') => c,
        'r' => '\r',
        'n' => '\n',
        't' => '\t',
        'f' => '\u{c}',
        'u' => {
            let hex = chars.as_str().get(..4)?;
            *chars = chars.as_str().get(4..)?.chars();
            if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            char::from_u32(u32::from_str_radix(hex, 16).ok()?)?
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, root: Option<&str>, steps: &[Step<'_>]) {
        let path = Path::parse(text).expect("a path of the subset");
        assert_eq!((path.root, path.steps.as_slice()), (root, steps), "{text}");
    }

    fn equals<'p>(steps: Vec<Step<'p>>, text: &str) -> Condition<'p> {
        Condition { steps, literal: Literal::Text(text.to_owned()) }
    }

    #[test]
    fn paths_of_the_subset_are_read() {
        check("Patient", Some("Patient"), &[]);
        check("birthDate", None, &[Step::Child("birthDate")]);
        check(
            "Patient.name[1].given.last()",
            Some("Patient"),
            &[Step::Child("name"), Step::Index(1), Step::Child("given"), Step::Last],
        );
        check(
            " Observation . value . ofType( FHIR.Quantity ).first( ) ",
            Some("Observation"),
            &[Step::Child("value"), Step::OfType("Quantity"), Step::Index(0)],
        );
        check(
            "Patient.extension('http://a/b').value",
            Some("Patient"),
            &[Step::Extension("http://a/b".to_owned()), Step::Child("value")],
        );
        check(
            "Patient.identifier.where(use='a\\'b' and type.coding[0].code = '\\u0041')",
            Some("Patient"),
            &[
                Step::Child("identifier"),
                Step::Where(vec![
                    equals(vec![Step::Child("use")], "a'b"),
                    equals(
                        vec![Step::Child("type"), Step::Child("coding"), Step::Index(0), Step::Child("code")],
                        "A",
                    ),
                ]),
            ],
        );
        check(
            "a.where(b = -1.50)",
            None,
            &[
                Step::Child("a"),
                Step::Where(vec![Condition {
                    steps: vec![Step::Child("b")],
                    literal: Literal::Token("-1.50"),
                }]),
            ],
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            ".",
            "Patient.",
            "Patient..name",
            "a[",
            "a[x]",
            "a[-1]",
            "a[99999999999999999999]",
            "a.where(b='c",
            "a.where(b='\\q')",
            "a.where(b='\\u12')",
            "a.first(",
            "_a",
            "1",
        ] {
            assert!(matches!(Path::parse(text), Err(PathError::Syntax(_))), "{text}");
        }
        let deep = format!("Patient{}", ".a".repeat(MAX_STEPS + 1));
        for text in [
            "$this",
            "%resource",
            "`div`",
            "(Patient)",
            "a | b",
            "a as Quantity",
            "a.resolve()",
            "a.where(b > 1)",
            "a.where(b)",
            "a.where(b = @2020)",
            "a.where(b.where(c = 1) = 1)",
            "a.where(b = 1 or c = 2)x",
            &deep,
        ] {
            let refused = Path::parse(text);
            assert!(matches!(refused, Err(PathError::Unsupported(_) | PathError::Syntax(_))), "{text}");
        }
        assert!(matches!(Path::parse("a.resolve()"), Err(PathError::Unsupported(_))));
    }
}
