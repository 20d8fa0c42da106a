//! Shapes of commands: text that says what may stand where, and requests drawn from it.
//!
//! ```text
//! SET                 a word as it is, in capitals or not; a sign such as * or + too
//! key                 something of this kind: see `words.rs`
//! [NX|XX]             nothing, or one of these
//! (BYTE|BIT)          one of these
//! key...              one to four times
//! #(key value)        a number, then as often what follows it
//! {[GET] [NX|XX]}     all of these in any order
//! IFEQ@8.1            a word that peers before this version do not know or take otherwise: the
//!                     choice it stands in, or the whole line, is left out for them
//! ```

use crate::words::{Dice, KINDS, Kind};

/// Major and minor.
pub type Version = (u32, u32);

/// A part of a shape.
#[derive(Clone, Debug)]
pub enum Piece {
    Word(Vec<u8>),
    Kind(Kind),
    /// Nothing or one of these.
    Optional(Vec<Vec<Piece>>),
    OneOf(Vec<Vec<Piece>>),
    Repeated(Box<Piece>),
    Counted(Box<Piece>),
    Shuffled(Vec<Piece>),
}

/// A request: its name and arguments.
pub type Words = Vec<Vec<u8>>;

/// What `shape` says, for a peer of this version; `None` if it knows nothing of it.
pub fn read(shape: &str, version: Version) -> Option<Vec<Piece>> {
    let spaced = ["[", "]", "(", ")", "{", "}", "|", "#", "..."]
        .iter()
        .fold(shape.to_string(), |text, sign| text.replace(sign, &format!(" {sign} ")));
    let mut reader = Reader { shape, tokens: spaced.split_whitespace().collect(), at: 0, version };
    let mut alternatives = reader.alternatives();
    assert!(reader.at == reader.tokens.len(), "{shape}: too many brackets");
    assert!(alternatives.len() <= 1, "{shape}: alternatives stand between brackets");
    alternatives.pop()
}

/// A request of this shape.
pub fn draw(pieces: &[Piece], dice: &mut Dice) -> Words {
    let mut words = Words::new();
    pieces.iter().for_each(|piece| push(piece, dice, &mut words));
    words
}

struct Reader<'a> {
    shape: &'a str,
    tokens: Vec<&'a str>,
    at: usize,
    version: Version,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    /// Everything up to the closing bracket or the end, at each bar something else.
    fn alternatives(&mut self) -> Vec<Vec<Piece>> {
        let mut alternatives = Vec::new();
        loop {
            let (mut pieces, mut known) = (Vec::new(), true);
            while let Some(token) = self.peek().filter(|token| !["|", "]", ")"].contains(token)) {
                if token == "}" {
                    break;
                }
                let word = token.split_once('@');
                known &= word.is_none_or(|(_, since)| self.knows(since));
                match self.piece() {
                    Some(piece) => pieces.push(piece),
                    None => known = false,
                }
            }
            if known {
                alternatives.push(pieces);
            }
            if self.peek() != Some("|") {
                return alternatives;
            }
            self.at += 1;
        }
    }

    /// The next piece; `None` if nothing of it is known.
    fn piece(&mut self) -> Option<Piece> {
        let token = self.peek().unwrap_or_else(|| panic!("{}: ends too early", self.shape));
        self.at += 1;
        let piece = match token {
            "[" => Some(Piece::Optional(self.closed("]"))),
            "(" => Some(self.closed(")")).filter(|some| !some.is_empty()).map(Piece::OneOf),
            "{" => self.closed("}").pop().map(Piece::Shuffled),
            "#" => self.piece().map(|piece| Piece::Counted(Box::new(piece))),
            word => Some(self.word(word)),
        };
        if self.peek() == Some("...") {
            self.at += 1;
            return piece.map(|piece| Piece::Repeated(Box::new(piece)));
        }
        piece
    }

    fn closed(&mut self, bracket: &str) -> Vec<Vec<Piece>> {
        let alternatives = self.alternatives();
        assert!(self.peek() == Some(bracket), "{}: {bracket} is missing", self.shape);
        self.at += 1;
        alternatives
    }

    fn word(&self, word: &str) -> Piece {
        let name = word.split('@').next().unwrap_or(word);
        if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
            return Piece::Word(name.into());
        }
        let kind = KINDS.iter().find(|kind| kind.name == name);
        Piece::Kind(*kind.unwrap_or_else(|| panic!("{}: no kind is called {name}", self.shape)))
    }

    fn knows(&self, since: &str) -> bool {
        let (major, minor) = since.split_once('.').expect("a version is major.minor");
        let number = |text: &str| text.parse().expect("a version consists of numbers");
        (number(major), number(minor)) <= self.version
    }
}

fn push(piece: &Piece, dice: &mut Dice, words: &mut Words) {
    let push_all = |pieces: &Vec<Piece>, dice: &mut Dice, words: &mut Words| {
        pieces.iter().for_each(|piece| push(piece, dice, words));
    };
    match piece {
        Piece::Word(word) => words.push(dice.cased(word)),
        Piece::Kind(kind) => words.push((kind.draw)(dice)),
        Piece::Optional(alternatives) => {
            if !alternatives.is_empty() && dice.one_in(2) {
                push_all(dice.pick(alternatives), dice, words);
            }
        }
        Piece::OneOf(alternatives) => push_all(dice.pick(alternatives), dice, words),
        Piece::Repeated(piece) => {
            (0..1 + dice.few(3)).for_each(|_| push(piece, dice, words));
        }
        Piece::Counted(piece) => {
            let count = 1 + dice.few(3);
            words.push(count.to_string().into_bytes());
            (0..count).for_each(|_| push(piece, dice, words));
        }
        Piece::Shuffled(pieces) => {
            let mut pieces: Vec<&Piece> = pieces.iter().collect();
            while !pieces.is_empty() {
                let piece = pieces.swap_remove(dice.below(pieces.len()));
                push(piece, dice, words);
            }
        }
    }
}

#[test]
fn requests_have_their_shape() {
    let mut dice = Dice::new(1, crate::words::Manners::Wild);
    let mut check = |shape: &str, version: Version, expected: &[&str]| {
        let pieces = read(shape, version).expect(shape);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..300 {
            let words = draw(&pieces, &mut dice).join(&b' ').to_ascii_uppercase();
            seen.insert(String::from_utf8_lossy(&words).into_owned());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "{shape}");
    };
    check("A [B|C D]", (9, 1), &["A", "A B", "A C D"]);
    check("(A|B)", (9, 1), &["A", "B"]);
    check("A [B@9.1|C]", (9, 0), &["A", "A C"]);
    check("A [B@9.1]", (9, 0), &["A"]);
    assert!(read("A@9.1 B", (9, 0)).is_none());
    assert!(read("A {B C@9.1}", (9, 0)).is_none());
    assert!(read("A (B@9.1)", (9, 0)).is_none());
    check("A {B C}", (9, 1), &["A B C", "A C B"]);
    check("A...", (9, 1), &["A", "A A", "A A A", "A A A A"]);
    check("#(A B)", (9, 1), &["1 A B", "2 A B A B", "3 A B A B A B", "4 A B A B A B A B"]);
}
