//! JSON text without the escapes that it does not need: `0.0.0.0\/0` is `0.0.0.0/0`, `\u0041` is `A`.

/// `text`, which is valid JSON, with every character that needs no escape as it is. `None` where it has no such escape.
pub(super) fn without_needless_escapes(text: &str) -> Option<String> {
    let mut plain: Option<String> = None;
    let (mut copied, mut from) = (0, 0);
    let next = |from| Some(from + memchr::memchr(b'\\', text.as_bytes().get(from..)?)?);
    while let Some(at) = next(from) {
        let (character, length) = match text.as_bytes().get(at + 1) {
            Some(b'/') => (Some('/'), 2),
            Some(b'u') => unicode(&text[at..]),
            _ => (None, 2),
        };
        from = at + length;
        let Some(character) = character else { continue };
        let out = plain.get_or_insert_default();
        out.push_str(&text[copied..at]);
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
        copied = from;
    }
    let mut plain = plain?;
    plain.push_str(&text[copied..]);
    Some(plain)
}

/// The character that the `\u` escape at the start of `text` stands for, and the length of the escape in bytes. No character
/// where it must stay escaped: for control characters and halves of surrogate pairs.
fn unicode(text: &str) -> (Option<char>, usize) {
    let unit = |at: usize| text.get(at..at + 4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
    let Some(first) = unit(2) else { return (None, 2) };
    let second = text.get(6..8).filter(|escape| *escape == "\\u").and_then(|_| unit(8));
    let decode = |units: &[u16]| char::decode_utf16(units.iter().copied()).next()?.ok();
    if let Some(character) = decode(&[first]) {
        return (Some(character).filter(|c| !c.is_control()), 6);
    }
    match second.and_then(|second| decode(&[first, second])) {
        Some(character) => (Some(character), 12),
        None => (None, 6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_needless_escapes_are_undone() {
        for (text, plain) in [
            (r#"{"a":"0.0.0.0\/0"}"#, Some(r#"{"a":"0.0.0.0/0"}"#)),
            (r#"{"\u0041":"\u00e9\ud83d\ude00"}"#, Some("{\"A\":\"\u{e9}\u{1f600}\"}")),
            (r#"{"a":"\u0022\u005c\/"}"#, Some(r#"{"a":"\"\\/"}"#)),
            (r#"{"a":"\"\\/\n\u0000\u001f"}"#, None),
            (r#"{"a":"\\u0041"}"#, None),
            (r#"{"a":"\ud800"}"#, None),
            (r#"{"a":1}"#, None),
        ] {
            assert_eq!(without_needless_escapes(text).as_deref(), plain, "{text}");
        }
    }
}
