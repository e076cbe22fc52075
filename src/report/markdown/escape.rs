//! Text of others inside Markdown: shown, and nothing else.
//!
//! Everything that comes from outside (names, messages, reasons, commands) is put into `<code>` or
//! `<pre>`, where GitHub makes no mention, no issue link and no emoji of it, and every character
//! that is neither letter, digit nor blank is written as a numeric entity: an entity is never
//! structure in Markdown, so no text can end its cell, its tag or its fence, or begin anything.
//!
//! May import nothing of this crate.

use std::fmt::Write;

/// A text on one line, as code. At most `most` characters of it, and it says how many it left out.
#[must_use]
pub fn code(text: &str, most: usize) -> String {
    let (kept, rest) = clipped(text, most);
    let line = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    // GitHub's Markdown makes links of e-mail addresses in text, entities or not; an empty comment
    // inside takes the address apart and is not there when it is copied.
    let safe = entities(&line).replace("&#64;", "&#64;<!-- -->");
    format!("<code>{safe}{}</code>", left_out(rest))
}

/// A text of several lines, as a block of its own. As [`code`].
#[must_use]
pub fn block(text: &str, most: usize) -> String {
    let (kept, rest) = clipped(text.trim_end(), most);
    let lines: Vec<String> = kept.lines().map(entities).collect();
    format!("<pre>{}{}</pre>\n", lines.join("\n"), left_out(rest))
}

/// A link with words of ours to an address; the words alone where the address is none.
#[must_use]
pub fn link(words: &str, address: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&*+,;=%".contains(c);
    let begins = address.starts_with("https://") || address.starts_with("http://");
    if begins && address.chars().all(is_plain) && address.len() < 2000 {
        format!("[{words}]({address})")
    } else {
        words.to_owned()
    }
}

/// How much of a text is kept, and how many characters are not.
fn clipped(text: &str, most: usize) -> (&str, usize) {
    match text.char_indices().nth(most) {
        Some((at, _)) => (&text[..at], text[at..].chars().count()),
        None => (text, 0),
    }
}

fn left_out(characters: usize) -> String {
    if characters == 0 { String::new() } else { format!("… ({characters} characters more)") }
}

fn entities(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            '\t' => safe.push(' '),
            c if c.is_ascii_alphanumeric() || c == ' ' => safe.push(c),
            c if is_hidden(c) => safe.push('\u{fffd}'),
            c if c.is_ascii() => {
                let _ = write!(safe, "&#{};", u32::from(c)); // writing to a String cannot fail
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Characters that show nothing and change how others are shown.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_but_letters_digits_and_blanks_is_written_as_it_is() {
        assert_eq!(code("a|b\n`c`", 99), "<code>a&#124;b &#96;c&#96;</code>");
        assert_eq!(code("</code>", 99), "<code>&#60;&#47;code&#62;</code>");
        assert_eq!(block("a\n\n@b\n", 99), "<pre>a\n\n&#64;b</pre>\n");
        assert_eq!(code("\u{202e}a\u{1b}[0m", 99), "<code>\u{fffd}a\u{fffd}&#91;0m</code>");
    }

    #[test]
    fn what_is_cut_is_counted() {
        assert_eq!(code(&"x".repeat(12), 10), "<code>xxxxxxxxxx… (2 characters more)</code>");
    }

    #[test]
    fn only_plain_addresses_become_links() {
        assert_eq!(link("run", "https://e.com/a?b=c"), "[run](https://e.com/a?b=c)");
        for odd in ["javascript:alert(1)", "https://e.com/a)b", "https://e.com/ a", ""] {
            assert_eq!(link("run", odd), "run");
        }
    }
}
