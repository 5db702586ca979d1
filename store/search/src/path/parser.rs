//! From tokens to a tree.
//!
//! Precedence from strong to weak: `.` and `[]`, `is` and `as`, `|`, `=` and `!=`, `and`, `or` (FHIRPath 2.0,
//! operator precedence).

use super::Refusal;
use super::expression::Literal;
use super::token::{Token, TokenKind, tokens};

/// How deep brackets may lie inside each other.
const MAX_DEPTH: u32 = 16;

/// The longest expression in bytes; the longest of R4 has some 1,300.
const MAX_BYTES: usize = 16 * 1024;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Literal),
    Chain(Root, Vec<Call>),
    Binary(Operator, Box<[Self; 2]>, usize),
    /// `x is T` or, if the flag is set, `x as T`.
    Typed(Box<Self>, bool, String, usize),
}

/// What a chain of calls starts from.
#[derive(Clone, Debug)]
pub(super) enum Root {
    /// What the expression is about: the first call says more.
    Focus,
    /// `%name`
    Variable(String),
    Group(Box<Node>),
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) at: usize,
    pub(super) kind: CallKind,
}

#[derive(Clone, Debug)]
pub(super) enum CallKind {
    Name(String),
    Function(String, Vec<Node>),
    Index(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    Union,
    Equal,
    Unequal,
    And,
    Or,
}

pub(super) fn parse(text: &str) -> Result<Node, Refusal> {
    if text.len() > MAX_BYTES {
        return Err(Refusal { at: MAX_BYTES, what: "the expression is too long" });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let node = parser.binary(LEVELS)?;
    match parser.peek() {
        TokenKind::End => Ok(node),
        _ => Err(parser.refusal("an operator that is not supported, or none where one is needed")),
    }
}

/// The operators of each level, from strong to weak.
const LEVELS: &[&[(&str, Operator)]] = &[
    &[("|", Operator::Union)],
    &[("=", Operator::Equal), ("!=", Operator::Unequal)],
    &[("and", Operator::And)],
    &[("or", Operator::Or)],
];

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: u32,
}

impl Parser {
    fn peek(&self) -> &TokenKind {
        &self.tokens[self.next].kind
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    fn refusal(&self, what: &'static str) -> Refusal {
        Refusal { at: self.at(), what }
    }

    /// Takes the next token, but for the end.
    fn take(&mut self) -> TokenKind {
        let kind = self.peek().clone();
        if kind != TokenKind::End {
            self.next += 1;
        }
        kind
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let takes = matches!(self.peek(), TokenKind::Sign(other) if *other == sign);
        self.next += usize::from(takes);
        takes
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), Refusal> {
        if self.takes_sign(sign) { Ok(()) } else { Err(self.refusal("a bracket is missing")) }
    }

    fn binary(&mut self, levels: &[&[(&str, Operator)]]) -> Result<Node, Refusal> {
        let Some((level, stronger)) = levels.split_last() else { return self.typed() };
        let mut left = self.binary(stronger)?;
        loop {
            let word = match self.peek() {
                TokenKind::Name(name) => name.as_str(),
                TokenKind::Sign(sign) => sign,
                _ => return Ok(left),
            };
            let Some((_, operator)) = level.iter().find(|(sign, _)| *sign == word) else { return Ok(left) };
            let at = self.at();
            self.next += 1;
            left = Node::Binary(*operator, Box::new([left, self.binary(stronger)?]), at);
        }
    }

    fn typed(&mut self) -> Result<Node, Refusal> {
        let mut node = self.postfix()?;
        loop {
            let is_as = match self.peek() {
                TokenKind::Name(name) if name == "as" => true,
                TokenKind::Name(name) if name == "is" => false,
                _ => return Ok(node),
            };
            let at = self.at();
            self.next += 1;
            node = Node::Typed(Box::new(node), is_as, self.type_name()?, at);
        }
    }

    /// A type, with or without its namespace.
    fn type_name(&mut self) -> Result<String, Refusal> {
        let missing = self.refusal("a type is missing");
        let TokenKind::Name(mut name) = self.take() else { return Err(missing) };
        if matches!(name.as_str(), "FHIR" | "System") && self.takes_sign(".") {
            let TokenKind::Name(last) = self.take() else { return Err(missing) };
            name = last;
        }
        Ok(name)
    }

    fn postfix(&mut self) -> Result<Node, Refusal> {
        let (root, mut calls) = match self.peek() {
            TokenKind::Text(_) | TokenKind::Number(_) => return self.literal(),
            TokenKind::Name(name) if matches!(name.as_str(), "true" | "false") => return self.literal(),
            TokenKind::Sign("(") => (Root::Group(Box::new(self.group()?)), Vec::new()),
            TokenKind::Variable(name) => {
                let root = Root::Variable(name.clone());
                self.next += 1;
                (root, Vec::new())
            }
            TokenKind::Sign("$") => {
                self.next += 1;
                let refusal = self.refusal("a variable that is not supported");
                if self.take() != TokenKind::Name("this".to_owned()) {
                    return Err(refusal);
                }
                (Root::Focus, Vec::new())
            }
            _ => (Root::Focus, vec![self.call()?]),
        };
        loop {
            let at = self.at();
            if self.takes_sign(".") {
                calls.push(self.call()?);
            } else if self.takes_sign("[") {
                let refusal = self.refusal("an index that is no whole number");
                let TokenKind::Number(number) = self.take() else { return Err(refusal) };
                let index = number.parse().map_err(|_| refusal)?;
                self.expect_sign("]")?;
                calls.push(Call { at, kind: CallKind::Index(index) });
            } else {
                return Ok(Node::Chain(root, calls));
            }
        }
    }

    fn literal(&mut self) -> Result<Node, Refusal> {
        let refusal = self.refusal("a constant is missing");
        Ok(Node::Literal(match self.take() {
            TokenKind::Text(text) => Literal::Text(text.into()),
            TokenKind::Number(text) => Literal::Number(text.into()),
            TokenKind::Name(name) => Literal::Boolean(name == "true"),
            _ => return Err(refusal),
        }))
    }

    fn group(&mut self) -> Result<Node, Refusal> {
        self.expect_sign("(")?;
        let node = self.nested()?;
        self.expect_sign(")")?;
        Ok(node)
    }

    /// What is inside brackets.
    fn nested(&mut self) -> Result<Node, Refusal> {
        if self.depth == MAX_DEPTH {
            return Err(self.refusal("brackets that are too deep"));
        }
        self.depth += 1;
        let node = self.binary(LEVELS)?;
        self.depth -= 1;
        Ok(node)
    }

    fn call(&mut self) -> Result<Call, Refusal> {
        let at = self.at();
        let refusal = self.refusal("a name is missing");
        let TokenKind::Name(name) = self.take() else { return Err(refusal) };
        if !matches!(self.peek(), TokenKind::Sign("(")) {
            return Ok(Call { at, kind: CallKind::Name(name) });
        }
        let is_empty =
            matches!(self.tokens.get(self.next + 1), Some(token) if token.kind == TokenKind::Sign(")"));
        let mut arguments = Vec::new();
        if is_empty {
            self.next += 2;
        } else {
            self.expect_sign("(")?;
            arguments.push(self.nested()?);
            while self.takes_sign(",") {
                arguments.push(self.nested()?);
            }
            self.expect_sign(")")?;
        }
        Ok(Call { at, kind: CallKind::Function(name, arguments) })
    }
}
