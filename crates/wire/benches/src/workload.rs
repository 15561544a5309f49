//! The streams that are decoded: what consumers of event streams meet, made the same on every machine.

/// A stream of one kind of event.
#[derive(Debug)]
pub struct Workload {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// How many events it holds, and bytes of data in them: what each parser must find.
    pub events: usize,
    pub data_bytes: usize,
    /// Where events end, so that a prefix can be measured.
    ends: Vec<usize>,
}

impl Workload {
    fn new(name: &'static str, bytes_wanted: usize, mut event: impl FnMut(usize) -> (String, usize, bool)) -> Self {
        let mut workload = Self { name, bytes: Vec::new(), events: 0, data_bytes: 0, ends: Vec::new() };
        let mut n = 0;
        while workload.bytes.len() < bytes_wanted {
            let (text, data_bytes, dispatches) = event(n);
            workload.bytes.extend_from_slice(text.as_bytes());
            workload.data_bytes += data_bytes;
            workload.events += usize::from(dispatches);
            workload.ends.push(workload.bytes.len());
            n += 1;
        }
        workload
    }

    /// The longest prefix of whole events within `bytes`.
    pub fn prefix(&self, bytes: usize) -> &[u8] {
        let count = self.ends.partition_point(|end| *end <= bytes).max(1);
        &self.bytes[..self.ends[count - 1]]
    }
}

/// All of them, about `bytes` each.
pub fn all(bytes: usize) -> Vec<Workload> {
    vec![
        tokens(bytes),
        tokens_in_chinese(bytes),
        notifications(bytes),
        lines_of_64_kib(bytes),
        html(bytes),
        keep_alives(bytes / 4),
    ]
}

/// What a language model streams: about 200 bytes of JSON a delta, a little of it not ASCII.
fn tokens(bytes: usize) -> Workload {
    const WORDS: [&str; 23] = [
        " the",
        " stream",
        " of",
        " events",
        " is",
        " read",
        " once",
        ",",
        " and",
        " café",
        " then",
        " it",
        " ends",
        ".",
        " A",
        " client",
        " that",
        " comes",
        " back",
        " goes",
        " on",
        " naïvely",
        "\\n",
    ];
    Workload::new("tokens", bytes, |n| delta(n, WORDS[n % WORDS.len()]))
}

/// The same with fifty Chinese characters a delta.
fn tokens_in_chinese(bytes: usize) -> Workload {
    const TEXT: &str = "服务器发送事件是一种让浏览器从服务器接收更新的技术客户端会自动重新连接并且告诉服务器它最后收到的事件编号这样就不会丢失任何消息";
    let characters: Vec<char> = TEXT.chars().collect();
    Workload::new("tokens in Chinese", bytes, |n| {
        let text: String = (0..50).map(|k| characters[(n + k) % characters.len()]).collect();
        let data = format!("{{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}");
        (format!("data: {data}\n\n"), data.len(), true)
    })
}

fn delta(n: usize, text: &str) -> (String, usize, bool) {
    let data = format!(
        "{{\"id\":\"chatcmpl-{n:012}\",\"object\":\"chat.completion.chunk\",\"created\":17635{n:05},\"model\":\"model-4\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}",
        n = n % 100_000
    );
    (format!("data: {data}\n\n"), data.len(), true)
}

/// An id, a type and 1 KiB of data.
fn notifications(bytes: usize) -> Workload {
    let filler = "abcdefghijklmnopqrstuvwxyz 0123456789 ".repeat(27);
    Workload::new("notifications", bytes, |n| {
        let data = format!("{{\"n\":{n:010},\"text\":\"{filler}\"}}");
        (format!("id: e19a9c3b5d40-{n}\nevent: notification\ndata: {data}\n\n"), data.len(), true)
    })
}

fn lines_of_64_kib(bytes: usize) -> Workload {
    let data = "0123456789abcdef".repeat(4096);
    Workload::new("64 KiB lines", bytes, |_| (format!("data: {data}\n\n"), data.len(), true))
}

/// A fragment of a page: thirty lines of 50 to 60 bytes.
fn html(bytes: usize) -> Workload {
    Workload::new("HTML of 30 lines", bytes, |n| {
        let lines: Vec<String> = (0..30)
            .map(|k| {
                format!(
                    "    <li id=\"item-{:06}\" class=\"row\">{}</li>",
                    (n * 30 + k) % 1_000_000,
                    "text ".repeat(2 + k % 3)
                )
            })
            .collect();
        let data_bytes = lines.iter().map(String::len).sum::<usize>() + 29;
        (lines.iter().map(|line| format!("data: {line}\n")).collect::<String>() + "\n", data_bytes, true)
    })
}

fn keep_alives(bytes: usize) -> Workload {
    Workload::new("keep-alives", bytes, |_| (":\n\n".to_owned(), 0, false))
}
