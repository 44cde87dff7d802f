//! nginx's files as a tree of directives, by the rules of its own reader (ngx_conf_file.c): words, quotes, `;`, `{}` and
//! comments. A file that is cut short is read as far as it goes.

/// A directive with its words, and what stands in its braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Which file it stands in.
    pub file: String,
    /// Where it begins, from 1.
    pub line: usize,
    /// Its name and its arguments, at least one.
    pub words: Vec<String>,
    /// What is within its braces; `None` for one that ends with `;`.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// Its name.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// As it stands there, on one line.
    pub fn said(&self) -> String {
        self.words.join(" ")
    }
}

/// Something wrong with the file's form, which did not keep it from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// From 1.
    pub line: usize,
    /// What.
    pub what: &'static str,
}

/// Reads a file. What is wrong with its form comes with it.
pub fn read(file: &str, text: &str) -> (Vec<Directive>, Vec<Flaw>) {
    let mut reader = Reader {
        chars: text.trim_start_matches('\u{feff}').chars().peekable(),
        line: 1,
    };
    let mut flaws = Vec::new();
    // Each level with the directive that opened it.
    let mut levels: Vec<(Option<Directive>, Vec<Directive>)> = vec![(None, Vec::new())];
    let mut words: Vec<String> = Vec::new();
    let mut began = 1;
    let directive = |words: &mut Vec<String>, line| Directive {
        file: file.to_owned(),
        line,
        words: std::mem::take(words),
        block: None,
    };
    while let Some(token) = reader.next(&mut flaws) {
        match token {
            Token::Word(word, line) => {
                if words.is_empty() {
                    began = line;
                }
                words.push(word);
            }
            Token::End => {
                if !words.is_empty() {
                    let one = directive(&mut words, began);
                    push(&mut levels, one);
                }
            }
            Token::Open => {
                if words.is_empty() {
                    let what = "a `{` with nothing before it";
                    flaws.push(Flaw {
                        line: reader.line,
                        what,
                    });
                    words.push(String::new());
                    began = reader.line;
                }
                // Deeper than any file of nginx: nobody wrote that by hand.
                if levels.len() > 64 {
                    let what = "blocks within blocks, too many of them";
                    flaws.push(Flaw {
                        line: reader.line,
                        what,
                    });
                    break;
                }
                levels.push((Some(directive(&mut words, began)), Vec::new()));
            }
            Token::Close => {
                if !words.is_empty() {
                    let what = "a directive without its `;`";
                    flaws.push(Flaw { line: began, what });
                    let one = directive(&mut words, began);
                    push(&mut levels, one);
                }
                if !close(&mut levels) {
                    let what = "a `}` that closes nothing";
                    flaws.push(Flaw {
                        line: reader.line,
                        what,
                    });
                }
            }
        }
    }
    if !words.is_empty() {
        let what = "a directive without its `;`";
        flaws.push(Flaw { line: began, what });
        let one = directive(&mut words, began);
        push(&mut levels, one);
    }
    while levels.len() > 1 {
        if let Some((Some(open), _)) = levels.last() {
            let what = "a block whose `}` is missing";
            flaws.push(Flaw {
                line: open.line,
                what,
            });
        }
        close(&mut levels);
    }
    flaws.sort_by_key(|flaw| flaw.line);
    (levels.pop().map(|(_, all)| all).unwrap_or_default(), flaws)
}

fn push(levels: &mut [(Option<Directive>, Vec<Directive>)], one: Directive) {
    if let Some((_, all)) = levels.last_mut() {
        all.push(one);
    }
}

/// Ends the innermost block; false where there is none.
fn close(levels: &mut Vec<(Option<Directive>, Vec<Directive>)>) -> bool {
    if levels.len() < 2 {
        return false;
    }
    if let Some((Some(mut open), inner)) = levels.pop() {
        open.block = Some(inner);
        push(levels, open);
    }
    true
}

enum Token {
    /// With its line.
    Word(String, usize),
    End,
    Open,
    Close,
}

struct Reader<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn take(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn next(&mut self, flaws: &mut Vec<Flaw>) -> Option<Token> {
        loop {
            match self.chars.peek()? {
                c if c.is_whitespace() => {
                    self.take();
                }
                '#' => while self.take().is_some_and(|c| c != '\n') {},
                ';' => {
                    self.take();
                    return Some(Token::End);
                }
                '{' => {
                    self.take();
                    return Some(Token::Open);
                }
                '}' => {
                    self.take();
                    return Some(Token::Close);
                }
                _ => return Some(self.word(flaws)),
            }
        }
    }

    fn word(&mut self, flaws: &mut Vec<Flaw>) -> Token {
        let began = self.line;
        let mut word = String::new();
        let quote = self.chars.next_if(|c| matches!(c, '"' | '\''));
        loop {
            match self.chars.peek().copied() {
                None => {
                    if quote.is_some() {
                        let what = "a quote that is not closed";
                        flaws.push(Flaw { line: began, what });
                    }
                    break;
                }
                Some('\\') => {
                    self.take();
                    match self.take() {
                        Some(c @ ('"' | '\'' | '\\')) => word.push(c),
                        Some('t') => word.push('\t'),
                        Some('r') => word.push('\r'),
                        Some('n') => word.push('\n'),
                        Some(c) => word.extend(['\\', c]),
                        None => word.push('\\'),
                    }
                }
                Some(c) if Some(c) == quote => {
                    self.take();
                    break;
                }
                // A variable's braces are no block.
                Some('$') if quote.is_none() => {
                    word.extend(self.take());
                    if self.chars.peek() == Some(&'{') {
                        while let Some(c) = self.take() {
                            word.push(c);
                            if c == '}' {
                                break;
                            }
                        }
                    }
                }
                Some(c) if quote.is_none() && (c.is_whitespace() || matches!(c, ';' | '{')) => {
                    break;
                }
                Some(_) => word.extend(self.take()),
            }
        }
        Token::Word(word, began)
    }
}
