//! Accounts: whole numbers that do not fall below a floor.

use serde::{Deserialize, Serialize};

use super::{Answer, Operation, Resource};
use crate::{
    lock::Mode,
    refusal::{Code, Refusal},
    transaction::Key,
};

/// Accounts with balances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The lowest balance allowed; 0 unless said otherwise.
    pub floor: i64,
}

impl Resource for Account {
    type Operation = Operation;
    type Answer = Answer;
    type Value = i64;

    fn mode(operation: &Operation) -> Mode {
        operation.mode()
    }

    fn perform(
        &self,
        key: &Key,
        operation: Operation,
        balance: &mut Option<i64>,
    ) -> Result<Answer, Refusal> {
        let before = *balance;
        let known = before.ok_or_else(|| {
            Refusal::new(Code::UnknownAccount, format!("there is no account {key}"))
        });
        let after = match operation {
            Operation::Read => known?,
            Operation::Write(text) => parse(&text)?,
            Operation::Withdraw(amount) => self.withdraw(key, known?, positive(amount)?)?,
            Operation::Deposit(amount) => {
                known?.checked_add(positive(amount)?).ok_or_else(|| overflow(key))?
            }
        };
        if after < self.floor && before != Some(after) {
            let message = format!("a balance is at least {}, not {after}", self.floor);
            return Err(Refusal::new(Code::BadAmount, message));
        }
        *balance = Some(after);
        Ok(Answer { before: before.map(|balance| balance.to_string()), value: after.to_string() })
    }
}

impl Account {
    fn withdraw(&self, key: &Key, balance: i64, amount: i64) -> Result<i64, Refusal> {
        let after = balance.checked_sub(amount).ok_or_else(|| overflow(key))?;
        if after < self.floor {
            let message =
                format!("account {key} holds {balance}, which is too little for {amount}");
            return Err(Refusal::new(Code::InsufficientFunds, message));
        }
        Ok(after)
    }
}

fn overflow(key: &Key) -> Refusal {
    Refusal::new(Code::Overflow, format!("the balance of {key} would be out of range"))
}

fn positive(amount: i64) -> Result<i64, Refusal> {
    if amount > 0 {
        Ok(amount)
    } else {
        Err(Refusal::new(Code::BadAmount, format!("{amount} is no amount")))
    }
}

/// A balance, as a client wrote it.
fn parse(text: &str) -> Result<i64, Refusal> {
    text.trim().parse().map_err(|_| {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
        Refusal::new(Code::BadAmount, format!("`{shown}` is no whole number"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(balance: Option<i64>, operation: Operation) -> Result<Option<i64>, Code> {
        let mut value = balance;
        let key = Key::new("alice").expect("a key");
        match Account::default().perform(&key, operation, &mut value) {
            Ok(answer) => {
                assert_eq!(answer.before, balance.map(|balance| balance.to_string()));
                assert_eq!(Some(answer.value), value.map(|balance| balance.to_string()));
                Ok(value)
            }
            Err(refusal) => {
                assert_eq!(value, balance, "a refusal changes nothing");
                Err(refusal.code)
            }
        }
    }

    #[test]
    fn what_accounts_do() {
        use Operation::{Deposit, Read, Withdraw, Write};
        assert_eq!(after(Some(100), Read), Ok(Some(100)));
        assert_eq!(after(Some(100), Withdraw(30)), Ok(Some(70)));
        assert_eq!(after(Some(100), Deposit(30)), Ok(Some(130)));
        assert_eq!(after(None, Write("7".into())), Ok(Some(7)));
        assert_eq!(after(Some(100), Withdraw(101)), Err(Code::InsufficientFunds));
        assert_eq!(after(Some(100), Deposit(i64::MAX)), Err(Code::Overflow));
        assert_eq!(after(Some(0), Withdraw(i64::MAX)), Err(Code::InsufficientFunds));
        for operation in [Read, Withdraw(1), Deposit(1)] {
            assert_eq!(after(None, operation), Err(Code::UnknownAccount));
        }
        for operation in [Deposit(0), Deposit(-1), Withdraw(i64::MIN), Write("-1".into())] {
            assert_eq!(after(Some(100), operation), Err(Code::BadAmount));
        }
        for text in ["", "ten", "1.5", "99999999999999999999"] {
            assert_eq!(after(Some(100), Write(text.into())), Err(Code::BadAmount));
        }
    }
}
