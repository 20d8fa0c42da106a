//! The control thread's state: the only writer of what the whole node shares.

use std::sync::Arc;

use hashbrown::HashMap;
use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::config::table::Config;
use crate::coordination::batch::{Batch, Parsed, with_args};
use crate::coordination::call::Run;
use crate::coordination::control_ctx::{ControlCtx, Outcome, Then};
use crate::coordination::counters::CallCounters;
use crate::coordination::letter::Letter;
use crate::coordination::mailbox::Mailbox;
use crate::coordination::node::Node;
use crate::coordination::query::{Answer, Query, SlowEntry};
use crate::reactor::clock::ticks;

/// Node-wide state, and commands that wait for the shards' answers.
#[derive(Debug)]
pub struct Control {
    /// Its mail.
    pub mailbox: Mailbox<Letter>,
    /// What it knows of the node; shards have copies.
    pub node: Node,
    /// Counters of the commands that run here, by number.
    pub calls: Vec<CallCounters>,
    /// Commands for the command logs, the newest last; each log is cut to its length when read.
    pub logged: Vec<(u64, SlowEntry)>,
    /// The number of the next entry in `logged`.
    pub logged_next: u64,
    /// Why the process is to stop, once somebody asked for it.
    pub stop: Option<Stop>,
    questions: HashMap<u64, Question>,
    next_question: u64,
}

/// A wish to stop the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SHUTDOWN.
    Command,
    /// A signal, by its number.
    Signal(i32),
}

#[derive(Debug)]
struct Question {
    /// The batch whose request asked; `None` if control itself did.
    batch: Option<Box<Batch>>,
    then: Option<Then>,
    answers: Vec<Option<Answer>>,
}

impl Control {
    /// The control thread's state.
    pub fn new(mailbox: Mailbox<Letter>, node: Node) -> Self {
        let calls = vec![CallCounters::default(); node.table.ids];
        Self {
            mailbox,
            node,
            calls,
            logged: Vec::new(),
            logged_next: 0,
            stop: None,
            questions: HashMap::new(),
            next_question: 0,
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.mailbox.peers() - 1
    }

    /// Reads mail and acts on it. True if there was any.
    pub fn read_mail(&mut self) -> bool {
        let mut any = false;
        for peer in 0..self.mailbox.peers() {
            while let Some(letter) = self.mailbox.receive(peer) {
                any = true;
                match letter {
                    Letter::Batch(batch) => self.run(batch),
                    Letter::Answer(number, answer) => self.answered(peer, number, answer),
                    Letter::Logged(entry) => {
                        self.logged.push((self.logged_next, *entry));
                        self.logged_next += 1;
                    }
                    Letter::Release(_)
                    | Letter::Unwatch(_)
                    | Letter::Connection(_)
                    | Letter::Query(..) => unreachable!("such letters go to shards"),
                }
            }
        }
        any
    }

    /// Puts a new configuration in force here; the returned order does so on the shards.
    pub fn configure(&mut self, config: Config) -> Query {
        let config = Arc::new(config);
        self.node.config = Arc::clone(&config);
        Query::Configure(config)
    }

    /// Gives every shard an order whose outcome nobody waits for.
    pub fn order(&mut self, query: &Query) {
        self.ask(query, None, None);
    }

    fn ask(&mut self, query: &Query, batch: Option<Box<Batch>>, then: Option<Then>) {
        let number = self.next_question;
        self.next_question += 1;
        let answers = (0..self.shards()).map(|_| None).collect();
        self.questions.insert(number, Question { batch, then, answers });
        for shard in 0..self.shards() {
            self.mailbox.send(shard, Letter::Query(number, query.clone()));
        }
    }

    fn answered(&mut self, shard: usize, number: u64, answer: Answer) {
        let question = self.questions.get_mut(&number).expect("answers follow questions");
        question.answers[shard] = Some(answer);
        if question.answers.iter().any(Option::is_none) {
            return;
        }
        let question = self.questions.remove(&number).expect("it was just there");
        let answers = question.answers.into_iter().flatten().collect();
        if let (Some(batch), Some(then)) = (question.batch, question.then) {
            self.step(batch, |ctx| then(ctx, answers).map(|()| Outcome::Done));
        }
    }

    /// Runs the request of a batch that is for control.
    fn run(&mut self, batch: Box<Batch>) {
        let (_, parsed) = current(&batch);
        let Some(Run::Control(run)) = parsed.call.map(|call| call.run) else {
            unreachable!("only control's commands come here")
        };
        self.step(batch, run);
    }

    /// Does one step of a batch's request, and sends the batch home if that was the last.
    fn step(
        &mut self,
        mut batch: Box<Batch>,
        run: impl FnOnce(&mut ControlCtx<'_>) -> Result<Outcome, Error>,
    ) {
        let mut replies = std::mem::take(&mut batch.replies);
        let (written, started) = (replies.len(), ticks());
        let (source, parsed) = current(&batch);
        let call = parsed.call.expect("only known commands come here");
        let outcome = with_args(source.0, source.1, parsed, |args| {
            run(&mut ControlCtx {
                args,
                client: batch.client,
                local: batch.passport.local,
                replies: Replies { out: &mut replies, protocol: batch.passport.protocol },
                control: self,
            })
        });
        let counters = &mut self.calls[call.id];
        counters.ticks += ticks().wrapping_sub(started);
        let asked = match outcome {
            Ok(Outcome::Ask(query, then)) => Some((query, then)),
            Ok(Outcome::Done) => {
                counters.calls += 1;
                None
            }
            Err(error) => {
                counters.calls += 1;
                counters.failed += 1;
                replies.truncate(written);
                error.write(&mut replies);
                None
            }
        };
        batch.replies = replies;
        match asked {
            Some((query, then)) => self.ask(&query, Some(batch), Some(then)),
            None => self.send_home(batch),
        }
    }

    fn send_home(&mut self, mut batch: Box<Batch>) {
        match &mut batch.exec {
            Some(exec) => exec.next += 1,
            None => batch.next += 1,
        }
        self.mailbox.send(batch.home, Letter::Batch(batch));
    }
}

/// The request of a batch that is next, in an EXEC or not, and where its arguments lie.
fn current(batch: &Batch) -> ((&[u8], &[shards::resp::parser::Range]), &Parsed) {
    match &batch.exec {
        Some(exec) => {
            let multi = &exec.multi;
            ((&multi.input, &multi.ranges), &multi.requests[exec.next])
        }
        None => ((&batch.input, &batch.ranges), &batch.requests[batch.next]),
    }
}
