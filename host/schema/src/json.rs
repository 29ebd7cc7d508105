//! JSON → payload, straight from text to bytes.
//!
//! A parser that knows what comes next: the type says which value stands where, so
//! there is no tree, no visitor and, where keys come in the order of the type,
//! nothing to look up. Keys in another order are sorted where they landed.
//!
//! Invariant: the text was checked to be UTF-8 as a whole before parsing starts, and
//! recursion is as deep as the type, never as deep as the text.

use flowctl_types::did_you_mean;

use crate::fault::{Fault, MAX_EVENT_BYTES, Outcome};
use crate::plan::{Cases, FieldPlan, Names, Plan, RecordPlan};
use crate::{text, varint};

mod scalar;
mod shuffled;

use shuffled::Scratch;

/// Reads one JSON text.
pub(crate) struct JsonReader<'a> {
    text: &'a [u8],
    pos: usize,
    /// Length that `out` may reach.
    limit: usize,
    /// Whether a key that is not next may be taken for one whose forerunners, all of
    /// them options, are missing.
    looks_ahead: bool,
    scratch: Option<Box<Scratch>>,
}

impl<'a> JsonReader<'a> {
    pub(crate) fn new(text: &'a [u8], out: &[u8]) -> Outcome<Self> {
        if let Err(error) = std::str::from_utf8(text) {
            return Err(Fault::new(error.valid_up_to(), "text that is not UTF-8"));
        }
        Ok(Self { text, pos: 0, limit: out.len().saturating_add(MAX_EVENT_BYTES), looks_ahead: true, scratch: None })
    }

    /// Ends the text.
    pub(crate) fn finish(mut self) -> Outcome {
        self.space();
        let outcome = if self.pos == self.text.len() {
            Ok(())
        } else {
            Err(Fault::new(self.pos, "something stands after the value"))
        };
        if let Some(scratch) = self.scratch.take() {
            scratch.keep();
        }
        outcome
    }

    /// Appends the payload of the value at hand.
    pub(crate) fn read(&mut self, plan: &Plan, out: &mut Vec<u8>) -> Outcome {
        self.space();
        match plan {
            Plan::Bool => {
                let value = self.bool()?;
                out.push(u8::from(value));
            }
            Plan::U8 => {
                let value = self.unsigned("u8", u64::from(u8::MAX))?;
                out.push(value as u8);
            }
            Plan::U16 => varint::push(out, self.unsigned("u16", u64::from(u16::MAX))?),
            Plan::U32 => varint::push(out, self.unsigned("u32", u64::from(u32::MAX))?),
            Plan::U64 => varint::push(out, self.unsigned("u64", u64::MAX)?),
            Plan::S8 => {
                let value = self.signed("s8", i64::from(i8::MAX))?;
                out.push(value as u8);
            }
            Plan::S16 => varint::push(out, varint::zigzag(self.signed("s16", i64::from(i16::MAX))?)),
            Plan::S32 => varint::push(out, varint::zigzag(self.signed("s32", i64::from(i32::MAX))?)),
            Plan::S64 => varint::push(out, varint::zigzag(self.signed("s64", i64::MAX)?)),
            Plan::F32 => {
                let value: f32 = self.float("f32", [f32::NAN, f32::INFINITY, f32::NEG_INFINITY], f32::is_finite)?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            Plan::F64 => {
                let value: f64 = self.float("f64", [f64::NAN, f64::INFINITY, f64::NEG_INFINITY], f64::is_finite)?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            Plan::String => self.string(out)?,
            Plan::Char => self.char(out)?,
            Plan::Bytes => self.base64(out)?,
            Plan::List(element) => self.list(element, out)?,
            Plan::Option(inner) => {
                if self.text[self.pos..].starts_with(b"null") {
                    self.pos += 4;
                    out.push(0);
                } else {
                    out.push(1);
                    self.read(inner, out)?;
                }
            }
            Plan::Tuple(plans) => self.tuple(plans, out)?,
            Plan::Record(record) => self.record(record, out)?,
            Plan::Variant(cases) => self.variant(cases, out)?,
            Plan::Enum(cases) => self.plain_enum(cases, out)?,
            Plan::Result(cases) => self.result(cases, out)?,
        }
        Ok(())
    }

    fn list(&mut self, element: &Plan, out: &mut Vec<u8>) -> Outcome {
        self.open(b'[', "a list")?;
        let at = out.len();
        out.push(0);
        let mut n = 0;
        self.space();
        if self.peek() == Some(b']') {
            self.pos += 1;
            return Ok(());
        }
        loop {
            self.read(element, out).map_err(|fault| fault.in_element(n))?;
            n += 1;
            self.check_size(out)?;
            if !self.more(b']')? {
                break;
            }
        }
        varint::fill_length(out, at, n);
        Ok(())
    }

    fn tuple(&mut self, plans: &[Plan], out: &mut Vec<u8>) -> Outcome {
        let n = plans.len();
        self.open(b'[', "a list")?;
        for (index, plan) in plans.iter().enumerate() {
            self.read(plan, out).map_err(|fault| fault.in_element(index))?;
            let start = self.pos;
            if self.more(b']')? != (index + 1 < n) {
                return Err(Fault::new(start, format!("expected a list of {n} elements")));
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &RecordPlan, out: &mut Vec<u8>) -> Outcome {
        self.open(b'{', "an object")?;
        self.space();
        let (start, base) = (self.pos, out.len());
        let mut has_skipped = false;
        let mut next = 0;
        if self.peek() == Some(b'}') {
            self.pos += 1;
        } else {
            loop {
                if !record.fields.get(next).is_some_and(|field| self.takes_key(field)) {
                    match self.looks_ahead.then(|| self.field_ahead(record, next)).flatten() {
                        Some(ahead) => {
                            out.resize(out.len() + ahead - next, 0);
                            next = ahead;
                            has_skipped = true;
                        }
                        None if has_skipped => {
                            // What was taken for missing may follow. Once an event, so
                            // that records in records do not double the work each.
                            self.looks_ahead = false;
                            self.pos = start;
                            out.truncate(base);
                            return self.shuffled(record, 0, out);
                        }
                        None => return self.shuffled(record, next, out),
                    }
                }
                let field = &record.fields[next];
                if self.peek() == Some(b':') {
                    self.pos += 1;
                } else {
                    self.colon()?;
                }
                if let Err(fault) = self.read(&field.plan, out) {
                    return Err(fault.in_field(&field.name));
                }
                next += 1;
                if !self.more(b'}')? {
                    break;
                }
                self.space();
            }
        }
        for field in &record.fields[next..] {
            if !field.is_option() {
                return Err(Fault::new(self.pos, format!("field `{}` is missing", field.name)));
            }
            out.push(0);
        }
        self.check_size(out)
    }

    /// Moves past the key of `field`, if that is what stands here.
    #[inline]
    fn takes_key(&mut self, field: &FieldPlan) -> bool {
        let key = field.key();
        let is_here = self.text[self.pos..].starts_with(key);
        if is_here {
            self.pos += key.len();
        }
        is_here
    }

    /// Finds the field whose key stands here, if only options lie between it and
    /// field `next`, and moves past the key.
    #[cold]
    fn field_ahead(&mut self, record: &RecordPlan, next: usize) -> Option<usize> {
        let n_options = record.fields[next..].iter().take_while(|field| field.is_option()).count();
        let last = (next + n_options).min(record.fields.len() - 1);
        (next + 1..=last).find(|index| self.takes_key(&record.fields[*index]))
    }

    fn plain_enum(&mut self, cases: &Cases, out: &mut Vec<u8>) -> Outcome {
        let index = self.name("name", "a name", &cases.names)?;
        varint::push(out, index as u64);
        Ok(())
    }

    fn variant(&mut self, cases: &Cases, out: &mut Vec<u8>) -> Outcome {
        let is_object = self.peek() == Some(b'{');
        if is_object {
            self.pos += 1;
            self.space();
        }
        let start = self.pos;
        let index = self.name("case", "a case's name or an object with a case", &cases.names)?;
        let name = &cases.cases[index].name;
        varint::push(out, index as u64);
        match (&cases.cases[index].plan, is_object) {
            (None, false) => Ok(()),
            (Some(plan), true) => {
                self.colon()?;
                self.read(plan, out).map_err(|fault| fault.in_field(name))?;
                self.close_case()
            }
            (Some(_), false) => {
                Err(Fault::new(start, format!("case `{name}` carries a value: write {{\"{name}\": …}}")))
            }
            (None, true) => Err(Fault::new(start, format!("case `{name}` carries no value: write \"{name}\""))),
        }
    }

    fn result(&mut self, cases: &Cases, out: &mut Vec<u8>) -> Outcome {
        self.open(b'{', "an object with `ok` or `err`")?;
        self.space();
        let index = self.name("case", "`ok` or `err`", &cases.names)?;
        let name = &cases.cases[index].name;
        varint::push(out, index as u64);
        self.colon()?;
        match &cases.cases[index].plan {
            Some(plan) => self.read(plan, out).map_err(|fault| fault.in_field(name))?,
            None => {
                self.space();
                if !self.text[self.pos..].starts_with(b"null") {
                    return Err(self.expected("null").in_field(name));
                }
                self.pos += 4;
            }
        }
        self.close_case()
    }

    /// Reads a string that is one of `names`: which one.
    fn name(&mut self, what: &str, expected: &str, names: &Names) -> Outcome<usize> {
        let start = self.pos;
        if let Some(quoted) = self.text[start..].strip_prefix(b"\"") {
            let length = text::plain_len(quoted);
            if quoted.get(length) == Some(&b'"')
                && let Some(index) = names.find(&quoted[..length])
            {
                self.pos = start + length + 2;
                return Ok(index);
            }
        }
        let name = self.key(expected)?;
        names.find(name.as_bytes()).ok_or_else(|| unknown_name(what, &name, start, names.iter()))
    }

    fn close_case(&mut self) -> Outcome {
        self.space();
        let start = self.pos;
        if self.more(b'}')? {
            return Err(Fault::new(start, "an object with one key names the case, this has several"));
        }
        Ok(())
    }

    /// Moves past a comma, or past the byte that closes. Whether there is more.
    #[inline]
    fn more(&mut self, close: u8) -> Outcome<bool> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.pos += 1;
                Ok(false)
            }
            _ => Err(self.expected(&format!("`,` or `{}`", char::from(close)))),
        }
    }

    #[inline]
    fn open(&mut self, byte: u8, what: &str) -> Outcome {
        if self.peek() != Some(byte) {
            return Err(self.expected(what));
        }
        self.pos += 1;
        Ok(())
    }

    fn colon(&mut self) -> Outcome {
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.pos += 1;
        Ok(())
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.pos).copied()
    }

    fn check_size(&self, out: &[u8]) -> Outcome {
        if out.len() > self.limit {
            return Err(Fault::new(self.pos, format!("the event takes more than {MAX_EVENT_BYTES} bytes")));
        }
        Ok(())
    }

    /// The letters at hand; of very many the first.
    #[cold]
    fn word(&self) -> &'a str {
        const MAX_LETTERS: usize = 40;
        let rest = &self.text[self.pos..];
        let length = rest.iter().take(MAX_LETTERS).take_while(|byte| byte.is_ascii_alphabetic()).count();
        std::str::from_utf8(&rest[..length]).unwrap_or_default()
    }

    /// Says what stands at hand in place of `what`.
    #[cold]
    fn expected(&self, what: &str) -> Box<Fault> {
        let found = match self.peek() {
            None => "the end",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a string",
            Some(b'a'..=b'z' | b'A'..=b'Z') => match self.word() {
                "true" | "false" => "a bool",
                "null" => "null",
                word => return Fault::new(self.pos, format!("expected {what}, found `{word}`, which is no JSON")),
            },
            Some(b'-' | b'0'..=b'9') => "a number",
            Some(byte @ 0x21..=0x7e) => {
                return Fault::new(self.pos, format!("expected {what}, found `{}`", char::from(byte)));
            }
            Some(_) => "something else",
        };
        Fault::new(self.pos, format!("expected {what}, found {found}"))
    }
}

#[cold]
fn unknown_name<'a>(what: &str, name: &str, offset: usize, known: impl Iterator<Item = &'a str> + Clone) -> Box<Fault> {
    let shown: String = name.chars().take(64).collect();
    let reason = match did_you_mean(name, known.clone()) {
        Some(near) => format!("unknown {what} `{shown}`, {near}"),
        None => {
            let names: Vec<_> = known.take(8).map(|name| format!("`{name}`")).collect();
            format!("unknown {what} `{shown}`, there are {}", names.join(", "))
        }
    };
    Fault::new(offset, reason)
}
