//! Makes payloads of a type: postcard, as the contract has it.
//!
//! Invariant: what is written is a value of the schema, whatever the schema. Texts and
//! lists share what is left of the wished size once everything else has its bytes.

use flowctl_schema::{Schema, Type};

use crate::random::Random;

/// Longest text or list that is made where the size does not ask for more.
const USUAL_LENGTH: u64 = 12;
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";

/// Makes values of one type.
pub(super) struct Values {
    root: Type,
    /// Longest text or list of bytes.
    text_length: u64,
    /// Bytes of one event behind which lists stay empty, so that lists in lists end.
    most_bytes: usize,
}

/// The event that is being made.
#[derive(Clone, Copy)]
struct Event {
    number: u64,
    /// Where in the output lists start to stay empty.
    end: usize,
}

impl Values {
    /// For events of about `size` bytes.
    pub(super) fn new(schema: &Schema, size: usize) -> Self {
        let root = schema.root().clone();
        let n_texts = count_texts(&root).max(1);
        let mut values = Self { root, text_length: USUAL_LENGTH, most_bytes: 4 * size + 4096 };
        // what else there is in an event, as an average of a few
        let n_probes = 16;
        let mut sample = Vec::new();
        for number in 0..n_probes {
            values.write(&mut Random::new(number), number, &mut sample);
        }
        let usual = sample.len() / n_probes as usize;
        if size > usual {
            // lengths are even between half and the whole
            values.text_length += ((size - usual) * 4 / 3 / n_texts) as u64;
        }
        values
    }

    /// Appends event `number` to `out`.
    pub(super) fn write(&self, random: &mut Random, number: u64, out: &mut Vec<u8>) {
        match &self.root {
            Type::Bytes => self.write_bytes(random, out),
            root => {
                let event = Event { number, end: out.len() + self.most_bytes };
                self.write_value(root, "", event, random, out);
            }
        }
    }

    fn write_value(&self, ty: &Type, name: &str, event: Event, random: &mut Random, out: &mut Vec<u8>) {
        match ty {
            Type::Bool => out.push((random.next() & 1) as u8),
            Type::U8 | Type::S8 => out.push(random.next() as u8),
            Type::U16 => write_varint(out, random.below(1 << 16)),
            Type::U32 => write_varint(out, self.integer(name, event.number, random).min(u64::from(u32::MAX))),
            Type::U64 => write_varint(out, self.integer(name, event.number, random)),
            Type::S16 => write_signed(out, random.between(i64::from(i16::MIN), i64::from(i16::MAX))),
            Type::S32 | Type::S64 => write_signed(out, random.between(-1_000_000, 1_000_000)),
            Type::F32 => out.extend_from_slice(&((random.below(2_000_001) as f32 - 1e6) / 64.0).to_le_bytes()),
            Type::F64 => out.extend_from_slice(&((random.below(2_000_001) as f64 - 1e6) / 64.0).to_le_bytes()),
            Type::Char => out.extend_from_slice(&[1, *random.pick(LETTERS)]),
            Type::String => self.write_text(name, event.number, random, out),
            Type::Bytes => self.write_bytes(random, out),
            Type::List(item) => {
                let length = if out.len() < event.end { random.below(4) } else { 0 };
                write_varint(out, length);
                for _ in 0..length {
                    self.write_value(item, name, event, random, out);
                }
            }
            Type::Option(some) => {
                let is_some = random.next() & 1;
                out.push(is_some as u8);
                if is_some == 1 {
                    self.write_value(some, name, event, random, out);
                }
            }
            Type::Result { ok, err } => {
                let case = random.next() & 1;
                out.push(case as u8);
                if let Some(ty) = if case == 0 { ok } else { err } {
                    self.write_value(ty, name, event, random, out);
                }
            }
            Type::Tuple(types) => types.iter().for_each(|ty| self.write_value(ty, name, event, random, out)),
            Type::Record(record) => {
                for field in &record.fields {
                    self.write_value(&field.ty, &field.name, event, random, out);
                }
            }
            Type::Variant(variant) => {
                let case = random.below(variant.cases.len() as u64);
                write_varint(out, case);
                if let Some(ty) = &variant.cases[case as usize].ty {
                    self.write_value(ty, name, event, random, out);
                }
            }
            Type::Enum(an_enum) => write_varint(out, random.below(an_enum.cases.len() as u64)),
        }
    }

    /// A number that looks like what a field of this name holds.
    fn integer(&self, name: &str, number: u64, random: &mut Random) -> u64 {
        match name.rsplit('-').next() {
            Some("id" | "sequence" | "number") => number,
            // seconds from 2024 on
            Some("at" | "time" | "timestamp") => 1_704_067_200 + number,
            _ => random.below(100_000),
        }
    }

    fn write_text(&self, name: &str, number: u64, random: &mut Random, out: &mut Vec<u8>) {
        if name == "id" {
            let id = format!("{number:08}");
            write_varint(out, id.len() as u64);
            return out.extend_from_slice(id.as_bytes());
        }
        let length = self.length(random);
        write_varint(out, length);
        let mut bits = 0;
        for at in 0..length {
            if at % 12 == 0 {
                bits = random.next();
            }
            out.push(LETTERS[(bits & 31) as usize]);
            bits >>= 5;
        }
    }

    fn write_bytes(&self, random: &mut Random, out: &mut Vec<u8>) {
        let length = self.length(random);
        if !matches!(self.root, Type::Bytes) {
            write_varint(out, length);
        }
        out.extend((0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(length as usize));
    }

    fn length(&self, random: &mut Random) -> u64 {
        let half = self.text_length / 2;
        half + random.below(self.text_length - half + 1)
    }
}

/// How many texts and lists of bytes an event has, about.
fn count_texts(ty: &Type) -> usize {
    match ty {
        Type::String | Type::Bytes => 1,
        Type::List(inner) => count_texts(inner) * 3 / 2,
        Type::Option(inner) => count_texts(inner),
        Type::Result { ok, err } => [ok, err].into_iter().flatten().map(|ty| count_texts(ty)).max().unwrap_or(0),
        Type::Tuple(types) => types.iter().map(count_texts).sum(),
        Type::Record(record) => record.fields.iter().map(|field| count_texts(&field.ty)).sum(),
        Type::Variant(variant) => {
            variant.cases.iter().filter_map(|case| case.ty.as_ref()).map(count_texts).max().unwrap_or(0)
        }
        _ => 0,
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_signed(out: &mut Vec<u8>, value: i64) {
    write_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}
