use crate::program::run;

#[test]
fn prints_the_answer_and_ends_at_done() {
    let answer = "An event stream is a response that goes on: one block of lines for each thing that happens.";
    assert_eq!(run("chat", &[]), [answer]);
}
