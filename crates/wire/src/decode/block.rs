//! A block that lies whole in the chunk: read where it lies, and yielded without a copy.

use memchr::{memchr, memchr2};

use super::{Decoder, Field, Place, line_end};

/// What came of reading a block where it lies.
pub(super) enum Whole<'c> {
    /// An event with one data line.
    Event { event_type: &'c [u8], data: &'c [u8] },
    /// The chunk is used up, or what comes next has to be read piece by piece. What came before it was handed over.
    Pieces,
}

/// What was found of a block so far, as it lies in the chunk.
#[derive(Default)]
struct Lying<'c> {
    event_type: &'c [u8],
    id: Option<&'c [u8]>,
    data: Option<&'c [u8]>,
    /// What the lines take, as [`Block::bytes`](super::Block::bytes) counts them.
    bytes: usize,
}

impl Decoder {
    /// Reads on from between two blocks to the end of the next event, or as far as this way of reading goes.
    #[inline]
    pub(super) fn whole_block<'c>(&mut self, input: &mut &'c [u8]) -> Whole<'c> {
        let mut lying = Lying::default();
        let mut line = self.past_keep_alives(input);
        loop {
            let (field, value) = match Start::of(line) {
                Start::Field(Field::Data, _) if lying.data.is_some() => return self.hand_over(&lying, line, input),
                Start::Field(field, value) => (field, value),
                Start::Blank(after) => {
                    *input = after;
                    if let Some(id) = lying.id {
                        self.remember_id(id);
                    }
                    if let Some(data) = lying.data {
                        return Whole::Event { event_type: lying.event_type, data };
                    }
                    lying = Lying::default();
                    line = self.past_keep_alives(input);
                    continue;
                }
                Start::Comment(comment) if !self.reports_comments => match self.line_end_of(comment, line_end) {
                    LineEnd::At(_, after) => {
                        line = after;
                        continue;
                    }
                    LineEnd::Missing if lying.bytes == 0 => {
                        *input = &[];
                        self.place = Place::Ignored;
                        return Whole::Pieces;
                    }
                    LineEnd::Missing | LineEnd::CarriageReturn => return self.hand_over(&lying, line, input),
                },
                Start::Comment(_) | Start::Other => return self.hand_over(&lying, line, input),
            };
            let prefix = line.len() - value.len();
            let search = if field == Field::Data { long_line_end } else { line_end };
            let (value, after) = match self.line_end_of(value, search) {
                LineEnd::At(value, after) => (value, after),
                LineEnd::Missing if field == Field::Data => return self.unfinished_data(&lying, line, value, input),
                LineEnd::Missing | LineEnd::CarriageReturn => return self.hand_over(&lying, line, input),
            };
            let length = prefix + value.len();
            match field {
                Field::Data if value.len() <= self.limits.event_bytes && length <= self.limits.line_bytes => {
                    lying.data = Some(value);
                }
                Field::Event if value.len() <= self.limits.name_bytes => lying.event_type = value,
                // An id with NUL is none (P7).
                Field::Id if value.len() <= self.limits.name_bytes => {
                    lying.id = Some(value).filter(|id| memchr(0, id).is_none()).or(lying.id)
                }
                _ => return self.hand_over(&lying, line, input),
            }
            lying.bytes += length + 1;
            line = after;
        }
    }

    /// What comes behind the keep-alives at the start of `input`, unless they are to be reported.
    #[inline]
    fn past_keep_alives<'c>(&mut self, input: &'c [u8]) -> &'c [u8] {
        if self.reports_comments {
            return input;
        }
        let rest = skip_keep_alives(input);
        self.examine(input.len() - rest.len());
        rest
    }

    /// Where the line ends whose rest `value` begins.
    #[inline]
    fn line_end_of<'c>(&mut self, value: &'c [u8], search: impl Fn(&[u8]) -> Option<usize>) -> LineEnd<'c> {
        let Some(end) = search(value) else {
            self.examine(value.len());
            return LineEnd::Missing;
        };
        self.examine(end + 1);
        let (value, rest) = value.split_at(end);
        match rest {
            [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] => LineEnd::At(value, after),
            _ => LineEnd::CarriageReturn,
        }
    }

    /// Copies what was found so that reading can go on with `rest` piece by piece.
    #[inline(never)]
    fn hand_over<'c>(&mut self, lying: &Lying<'_>, rest: &'c [u8], input: &mut &'c [u8]) -> Whole<'c> {
        *input = rest;
        if lying.bytes == 0 && rest.is_empty() {
            self.place = Place::Between;
            return Whole::Pieces;
        }
        self.place = Place::LineStart;
        self.block.bytes = lying.bytes as u64;
        self.block.event_type.extend_from_slice(lying.event_type);
        if let Some(id) = lying.id {
            self.block.set_id(id);
        }
        if let Some(data) = lying.data {
            self.block.data.extend_from_slice(data);
            self.block.data.push(b'\n');
        }
        Whole::Pieces
    }

    /// The chunk ends in the data: what there is of it is taken along, so that it is not looked at twice.
    fn unfinished_data<'c>(
        &mut self,
        lying: &Lying<'_>,
        line: &'c [u8],
        value: &'c [u8],
        input: &mut &'c [u8],
    ) -> Whole<'c> {
        if value.is_empty() {
            return self.hand_over(lying, line, input);
        }
        self.hand_over(lying, &[], input);
        self.block.line_bytes = line.len() - value.len();
        self.begin_data();
        self.push_data(value);
        Whole::Pieces
    }
}

/// How a line begins.
enum Start<'c> {
    /// With this field, and a value behind it. `retry` is rare enough to be read piece by piece.
    Field(Field, &'c [u8]),
    /// It is empty; this comes after it.
    Blank(&'c [u8]),
    /// It is a comment, with this behind its colon.
    Comment(&'c [u8]),
    Other,
}

impl<'c> Start<'c> {
    #[inline]
    fn of(line: &'c [u8]) -> Self {
        match line {
            [b'd', b'a', b't', b'a', b':', value @ ..] => Self::Field(Field::Data, without_space(value)),
            [b'e', b'v', b'e', b'n', b't', b':', value @ ..] => Self::Field(Field::Event, without_space(value)),
            [b'i', b'd', b':', value @ ..] => Self::Field(Field::Id, without_space(value)),
            [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] => Self::Blank(after),
            [b':', comment @ ..] => Self::Comment(comment),
            _ => Self::Other,
        }
    }
}

/// Where a line ends.
enum LineEnd<'c> {
    /// After this value; this comes behind the line end.
    At(&'c [u8], &'c [u8]),
    /// Not in this chunk.
    Missing,
    /// At a CR without an LF, or with none in this chunk.
    CarriageReturn,
}

#[inline]
fn long_line_end(value: &[u8]) -> Option<usize> {
    memchr2(b'\n', b'\r', value)
}

#[inline]
fn without_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

#[inline]
fn skip_keep_alives(mut rest: &[u8]) -> &[u8] {
    /// Sixteen of them: to compare 48 bytes at once is several times as fast as one by one.
    const KEEP_ALIVES: &[u8; 48] = b":\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n";
    // As an array of known size it is compared in registers, without a call.
    while let Some((first, after)) = rest.split_first_chunk()
        && first == KEEP_ALIVES
    {
        rest = after;
    }
    while let [b':', b'\n', b'\n', after @ ..] = rest {
        rest = after;
    }
    rest
}
