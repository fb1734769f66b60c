//! Each example starts, answers, and ends well.

use super::program::Program;

#[test]
fn hello() {
    let program = Program::start("hello", &["127.0.0.1:0"]);
    assert_eq!(program.get("/").text(), "hello\n");
    program.terminate();
}
