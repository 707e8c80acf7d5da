//! `to_char` of a number: PostgreSQL's templates of digits, signs and separators.
//!
//! The steps and their conditions are those of PostgreSQL, which fills a template from left to right with the digits of the
//! rounded number. What depends on the locale (`L`) or changes the number (`V`, `EEEE`, `RN`) is refused.

use datafusion::common::{Result, plan_err};

/// One element of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Nine,
    Zero,
    Point,
    Comma,
    Minus,
    Plus,
    Sign,
    /// `th` in lower or upper case.
    Ordinal(bool),
    /// An element that writes nothing in its place: `FM`, `S`, `PR`.
    Flag,
    Literal(char),
}

/// Where `S` writes the sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchored {
    None,
    Before,
    After,
}

/// A template that was read.
#[derive(Debug, Clone)]
pub(super) struct NumberTemplate {
    items: Vec<Item>,
    /// Digits before and after the point.
    before: usize,
    after: usize,
    has_point: bool,
    fill_mode: bool,
    bracket: bool,
    has_minus: bool,
    has_plus: bool,
    anchored: Anchored,
    /// Digits in front of `S`.
    before_sign: usize,
    /// Position of the first `0` in front of the point, and the number of digits up to the last `0`.
    zero_start: Option<usize>,
    zero_end: usize,
}

/// The elements of templates with more than one spelling, longest first.
const ELEMENTS: &[&str] = &[
    "EEEE", "eeee", "FM", "fm", "MI", "mi", "PL", "pl", "PR", "pr", "RN", "rn", "SG", "sg", "SP",
    "sp", "TH", "th", ",", ".", "0", "9", "B", "b", "C", "c", "D", "d", "G", "g", "L", "l", "S",
    "s", "V", "v",
];

impl NumberTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// An error for elements that PostgreSQL refuses together, and for those that are not translated.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut template = Self {
            items: Vec::new(),
            before: 0,
            after: 0,
            has_point: false,
            fill_mode: false,
            bracket: false,
            has_minus: false,
            has_plus: false,
            anchored: Anchored::None,
            before_sign: 0,
            zero_start: None,
            zero_end: 0,
        };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(element) = ELEMENTS.iter().find(|element| rest.starts_with(**element)) {
                let item = template.element(element)?;
                template.items.push(item);
                rest = &rest[element.len()..];
            } else if first == '"' {
                rest = template.quoted(&rest[1..]);
            } else {
                let literal = rest.strip_prefix("\\\"").map_or(first, |_| '"');
                rest = &rest[if literal == first { first.len_utf8() } else { 2 }..];
                template.items.push(Item::Literal(literal));
            }
        }
        if template.before + template.after == 0 {
            return plan_err!("a template of to_char for numbers needs a digit: 9 or 0");
        }
        Ok(template)
    }

    /// Adds the text up to the next quotation mark. Returns what follows.
    fn quoted<'t>(&mut self, text: &'t str) -> &'t str {
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => return &text[at + 1..],
                '\\' => {
                    let escaped = characters.next().map_or('\\', |(_, escaped)| escaped);
                    self.items.push(Item::Literal(escaped));
                }
                character => self.items.push(Item::Literal(character)),
            }
        }
        ""
    }

    fn element(&mut self, element: &str) -> Result<Item> {
        match element {
            "9" | "0" if self.bracket => plan_err!("\"{element}\" must be ahead of \"PR\""),
            "9" | "0" => Ok(self.digit(element == "0")),
            "." | "D" | "d" if self.has_point => plan_err!("multiple decimal points"),
            "." | "D" | "d" => {
                self.has_point = true;
                Ok(Item::Point)
            }
            "," | "G" | "g" => Ok(Item::Comma),
            "FM" | "fm" => {
                self.fill_mode = true;
                Ok(Item::Flag)
            }
            "TH" => Ok(Item::Ordinal(true)),
            "th" => Ok(Item::Ordinal(false)),
            "S" | "s" | "MI" | "mi" | "PL" | "pl" | "SG" | "sg" | "PR" | "pr" => {
                self.sign(&element.to_uppercase())
            }
            other => plan_err!(
                "the template pattern {other} of to_char for numbers is not translated; there are 9, 0, comma, point, D, G, S, MI, PL, SG, PR, TH and FM"
            ),
        }
    }

    fn digit(&mut self, is_zero: bool) -> Item {
        if is_zero && self.zero_start.is_none() && !self.has_point {
            self.zero_start = Some(self.before);
        }
        if self.has_point {
            self.after += 1;
        } else {
            self.before += 1;
        }
        if is_zero {
            self.zero_end = self.before + self.after;
            return Item::Zero;
        }
        Item::Nine
    }

    fn sign(&mut self, element: &str) -> Result<Item> {
        let others = self.has_plus || self.has_minus || self.bracket;
        let anchored = self.anchored != Anchored::None;
        let together = match element {
            "S" => others || anchored,
            "PR" => self.has_plus || self.has_minus || anchored,
            _ => anchored,
        };
        if together {
            return plan_err!("cannot use \"{element}\" with another sign");
        }
        Ok(match element {
            "S" => {
                self.before_sign = self.before;
                self.anchored = if self.has_point { Anchored::After } else { Anchored::Before };
                Item::Flag
            }
            "PR" => {
                self.bracket = true;
                Item::Flag
            }
            "MI" => {
                self.has_minus = true;
                Item::Minus
            }
            "PL" => {
                self.has_plus = true;
                Item::Plus
            }
            _ => {
                (self.has_minus, self.has_plus) = (true, true);
                Item::Sign
            }
        })
    }

    /// Digits after the point that the number is rounded to.
    pub(super) fn places(&self) -> usize {
        self.after
    }

    /// Fills the template with `number`: digits with a point, rounded to at most [`NumberTemplate::places`], with `-` in
    /// front where it is negative.
    pub(super) fn write(&self, number: &str) -> String {
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number),
        };
        let whole = digits.find('.').unwrap_or(digits.len());
        let too_long = format!("{}.{}", "#".repeat(self.before), "#".repeat(self.after));
        let digits = if whole > self.before { &too_long } else { digits };
        Filling::new(self, digits, negative, self.before.saturating_sub(whole)).run()
    }
}

/// A template that is being filled.
struct Filling<'t> {
    template: &'t NumberTemplate,
    digits: &'t [u8],
    negative: bool,
    /// Digits of the template in front of those of the number.
    spaces: usize,
    bracket: bool,
    anchored: Anchored,
    /// The last digit that `FM` keeps.
    last_relevant: Option<usize>,
    sign_wrote: bool,
    count: usize,
    /// Position in `digits`, and among the elements for digits.
    at: usize,
    current: usize,
    in_number: bool,
    out: String,
    /// The number has fewer digits than the template: PostgreSQL ends its text there.
    ended: bool,
}

impl<'t> Filling<'t> {
    fn new(template: &'t NumberTemplate, digits: &'t str, negative: bool, spaces: usize) -> Self {
        let digits = digits.as_bytes();
        let has_sign_element = template.has_plus || template.has_minus;
        let sign_wrote = if has_sign_element {
            template.has_minus
        } else {
            !negative && template.fill_mode && template.anchored == Anchored::None
        };
        let bracket = template.bracket && (negative || !template.fill_mode);
        let at_end = template.before == template.before_sign;
        let anchored = match template.anchored {
            Anchored::Before if at_end && !has_sign_element => Anchored::After,
            anchored => anchored,
        };
        let mut count = (template.after + template.before).saturating_sub(1);
        if !sign_wrote && spaces == 0 {
            count += 1;
        }
        let mut filling = Self {
            template,
            digits,
            negative,
            spaces,
            bracket,
            anchored,
            last_relevant: None,
            sign_wrote,
            count,
            at: 0,
            current: 0,
            in_number: false,
            out: String::new(),
            ended: false,
        };
        if template.fill_mode && template.has_point {
            filling.last_relevant = filling.relevant();
        }
        filling
    }

    /// Position of the last digit that is not a zero at the end, or that the template asks for by `0`.
    fn relevant(&self) -> Option<usize> {
        let point = self.digits.iter().position(|byte| *byte == b'.')?;
        let last = self.digits.iter().rposition(|byte| *byte != b'0' && *byte != b'.');
        let last = last.map_or(point, |last| last.max(point));
        if self.template.zero_end <= self.spaces {
            return Some(last);
        }
        let asked = (self.template.zero_end - self.spaces).min(self.digits.len() - 1);
        Some(last.max(asked))
    }

    fn ends_at_point(&self) -> bool {
        self.last_relevant.is_some_and(|last| self.digits[last] == b'.')
    }

    /// True where a zero in front of the point is left out.
    fn is_bare_zero(&self) -> bool {
        self.template.zero_start.is_none()
            && self.at == 0
            && self.digits.first() == Some(&b'0')
            && self.template.after != 0
    }

    fn push(&mut self, character: char) {
        if !self.ended {
            self.out.push(character);
        }
    }

    fn run(mut self) -> String {
        let fill_mode = self.template.fill_mode;
        let sign = if self.negative { '-' } else { '+' };
        for item in &self.template.items {
            match *item {
                Item::Nine | Item::Zero | Item::Point => self.digit(*item),
                Item::Comma if self.in_number => self.push(','),
                Item::Minus if self.negative => self.push('-'),
                Item::Plus if !self.negative => self.push('+'),
                Item::Comma | Item::Minus | Item::Plus if fill_mode => {}
                Item::Comma | Item::Minus | Item::Plus => self.push(' '),
                Item::Sign => self.push(sign),
                Item::Ordinal(upper) => self.ordinal(upper),
                Item::Flag => {}
                Item::Literal(literal) => self.push(literal),
            }
        }
        self.out
    }

    /// `st`, `nd`, `rd` or `th`.
    fn ordinal(&mut self, upper: bool) {
        if self.negative || self.template.has_point || self.digits.first() == Some(&b'#') {
            return;
        }
        let is_teen = self.digits.len() > 1 && self.digits[self.digits.len() - 2] == b'1';
        let ending = match self.digits.last() {
            Some(b'1') if !is_teen => "st",
            Some(b'2') if !is_teen => "nd",
            Some(b'3') if !is_teen => "rd",
            _ => "th",
        };
        for letter in ending.chars() {
            self.push(if upper { letter.to_ascii_uppercase() } else { letter });
        }
    }

    /// Writes the sign in front of the first digit.
    fn leading_sign(&mut self) {
        let at_digits =
            self.current >= self.spaces || self.template.zero_start == Some(self.current);
        if self.sign_wrote || !at_digits || (self.is_bare_zero() && !self.ends_at_point()) {
            return;
        }
        if self.template.anchored != Anchored::None {
            if self.anchored != Anchored::Before {
                return;
            }
            self.push(if self.negative { '-' } else { '+' });
        } else if self.bracket {
            self.push(if self.negative { '<' } else { ' ' });
        } else if self.negative {
            self.push('-');
        } else if !self.template.fill_mode {
            self.push(' ');
        }
        self.sign_wrote = true;
    }

    /// Fills one element for a digit or the point.
    fn digit(&mut self, item: Item) {
        self.in_number = false;
        self.leading_sign();
        let in_zeros = self.template.zero_start.is_some_and(|start| start <= self.current);
        if self.current < self.spaces && !in_zeros {
            if !self.template.fill_mode {
                self.push(' ');
            }
        } else if self.current < self.spaces {
            self.push('0');
            self.in_number = true;
        } else {
            self.number_digit(item);
        }
        self.trailing_sign();
        self.current += 1;
    }

    fn number_digit(&mut self, item: Item) {
        let digit = self.digits.get(self.at).copied();
        let cut = self.last_relevant.is_some_and(|last| self.at > last) && item != Item::Zero;
        match digit {
            Some(b'.') => self.push('.'),
            _ if cut => {}
            _ if self.is_bare_zero() => {
                if !self.template.fill_mode {
                    self.push(' ');
                } else if self.ends_at_point() {
                    self.push('0');
                }
            }
            Some(digit) => {
                self.push(char::from(digit));
                self.in_number = true;
            }
            None => self.ended = true,
        }
        if digit.is_some() {
            self.at += 1;
        }
    }

    /// Writes the sign behind the last digit.
    fn trailing_sign(&mut self) {
        let mut end =
            self.count + usize::from(self.spaces > 0) + usize::from(self.template.has_point);
        if self.last_relevant == Some(self.at) {
            end = self.current;
        }
        if self.current + 1 != end {
            return;
        }
        if self.sign_wrote && self.bracket {
            self.push(if self.negative { '>' } else { ' ' });
        } else if self.anchored == Anchored::After {
            self.push(if self.negative { '-' } else { '+' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_postgresql() {
        for (number, template, expected) in [
            ("-0.10", "99.99", "  -.10"),
            ("-0.1", "FM9.99", "-.1"),
            ("-0.1", "FM90.99", "-0.1"),
            ("0.1", "0.9", " 0.1"),
            ("12", "9990999.9", "    0012.0"),
            ("12", "FM9990999.9", "0012."),
            ("485", "999", " 485"),
            ("-485", "999", "-485"),
            ("485", "9 9 9", " 4 8 5"),
            ("1485", "9,999", " 1,485"),
            ("1485", "9G999", " 1,485"),
            ("148.500", "999.999", " 148.500"),
            ("148.5", "FM999.999", "148.5"),
            ("148.5", "FM999.990", "148.500"),
            ("3148.500", "9G999D999", " 3,148.500"),
            ("-485", "999S", "485-"),
            ("-485", "999MI", "485-"),
            ("485", "999MI", "485 "),
            ("485", "FM999MI", "485"),
            ("485", "PL999", "+ 485"),
            ("485", "SG999", "+485"),
            ("-485", "SG999", "-485"),
            ("-485", "9SG99", "4-85"),
            ("-485", "999PR", "<485>"),
            ("482", "999th", " 482nd"),
            ("485", "\"Good number:\"999", "Good number: 485"),
            ("1234567.89", "FM999,999,999.00", "1,234,567.89"),
            ("12345", "999", " ###"),
            ("0", "FM999999990.00", "0.00"),
        ] {
            let parsed = NumberTemplate::parse(template).expect(template);
            let places = number.split_once('.').map_or(0, |(_, part)| part.len());
            let mut number = number.to_owned();
            if parsed.places() > places {
                let dot = if places == 0 { "." } else { "" };
                number = format!("{number}{dot}{}", "0".repeat(parsed.places() - places));
            }
            assert_eq!(parsed.write(&number), expected, "{number} {template}");
        }
        for template in ["99V9", "9.99EEEE", "RN", "L99", "9.9.9", "S9S", "9PR9", "MI9PR", "S."] {
            assert!(NumberTemplate::parse(template).is_err(), "{template}");
        }
    }
}
