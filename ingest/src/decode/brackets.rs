//! Finds the end of a value that is not read: one that is too large or too deep.

/// Finds the end of a value by its brackets alone, in chunks.
#[derive(Default)]
pub(super) struct BracketCounter {
    depth: usize,
    in_string: bool,
    after_backslash: bool,
}

impl BracketCounter {
    /// Offset in `chunk` past the bracket that closes the value, if the value ends there.
    pub(super) fn value_end(&mut self, chunk: &[u8]) -> Option<usize> {
        for (i, &byte) in chunk.iter().enumerate() {
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' if self.in_string => self.after_backslash = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(i + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}
