//! Whether a compressor on the way lets each event through.

use super::cure::Fault;
use super::report::Check;
use super::stream::Seen;

/// What browsers offer.
pub(super) const OFFERED: &str = "gzip, deflate, br, zstd";

/// `has_moved` says whether bytes came for an event that the uncompressed stream brought, if it brought one.
pub(super) fn judge(coded: &Seen, has_moved: Option<bool>) -> Check {
    let name = "compression";
    if coded.head.is_none() {
        return Check::unknown(name, format!("with `Accept-Encoding: {OFFERED}` there was no answer"));
    }
    let coding = coded.header("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    match (coding, has_moved) {
        (None, _) => Check::ok(name, "not compressed, though a browser offers it"),
        (Some(coding), Some(true)) => {
            Check::ok(name, format!("compressed ({coding}), and each event goes out at once"))
        }
        (Some(coding), Some(false)) => {
            let text = format!(
                "compressed ({coding}) without flushing: an event that comes at once uncompressed does not come"
            );
            Check::problem(name, text, Fault::Compressed)
        }
        (Some(coding), None) => {
            Check::unknown(name, format!("compressed ({coding}); no event came by which to tell whether it is flushed"))
        }
    }
}
