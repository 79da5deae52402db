//! Registers: texts.

use serde::{Deserialize, Serialize};

use super::{Answer, Operation, Resource};
use crate::{
    limits,
    lock::Mode,
    refusal::{Code, Refusal},
    transaction::Key,
};

/// Texts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register;

impl Resource for Register {
    type Operation = Operation;
    type Answer = Answer;
    type Value = String;

    fn mode(operation: &Operation) -> Mode {
        operation.mode()
    }

    fn perform(
        &self,
        key: &Key,
        operation: Operation,
        text: &mut Option<String>,
    ) -> Result<Answer, Refusal> {
        let before = text.clone();
        let after = match operation {
            Operation::Read => before.clone().ok_or_else(|| {
                Refusal::new(Code::UnknownKey, format!("nothing was written to {key}"))
            })?,
            Operation::Write(after) if after.len() <= limits::VALUE_MAX => after,
            Operation::Write(after) => {
                let (len, max) = (after.len(), limits::VALUE_MAX);
                let message = format!("{len} bytes are more than the {max} of a value");
                return Err(Refusal::new(Code::TooLong, message));
            }
            Operation::Withdraw(_) | Operation::Deposit(_) => {
                let message = format!("{key} is a text, nothing can be transferred");
                return Err(Refusal::new(Code::BadOperation, message));
            }
        };
        *text = Some(after.clone());
        Ok(Answer { before, value: after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registers_do() {
        let (key, mut text) = (Key::new("motto").expect("a key"), None);
        let mut perform = |operation| Register.perform(&key, operation, &mut text);
        let code = |result: Result<Answer, Refusal>| result.expect_err("a refusal").code;
        assert_eq!(code(perform(Operation::Read)), Code::UnknownKey);
        let written = Answer { before: None, value: "hm".into() };
        assert_eq!(perform(Operation::Write("hm".into())), Ok(written));
        let read = Answer { before: Some("hm".into()), value: "hm".into() };
        assert_eq!(perform(Operation::Read), Ok(read));
        assert_eq!(code(perform(Operation::Deposit(1))), Code::BadOperation);
        let long = "x".repeat(limits::VALUE_MAX + 1);
        assert_eq!(code(perform(Operation::Write(long))), Code::TooLong);
    }
}
