//! A primary of the test: what a seed has it write, and what there is at each point of its logs.

use shards::base::random::Random;
use shards::journal::entry::{HEADER, Note};
use shards::journal::part::{Payload, Transaction};
use shards::journal::units::Units;

use super::State;

const STEPS: u64 = 120;
const GROUPS_OF_KEYS: usize = 4;

/// What a primary has written, log by log.
pub struct Primary {
    pub logs: Vec<Vec<u8>>,
    /// By log: offsets behind entries, what the log weighs there, and what the entry sets.
    pub entries: Vec<Vec<(u64, u64, State)>>,
    /// Logs whose keys change together, each with a key `gI:LOG`.
    pub groups: Vec<Vec<u16>>,
    txid: u64,
    /// What all logs weighed at each fence, and what was there.
    pub fences: Vec<(u64, State)>,
}

impl Primary {
    pub fn new(logs: usize, random: &mut Random) -> Self {
        let group = |random: &mut Random| {
            let taken = (0..logs).filter(|_| random.below(2) == 0);
            let mut taken: Vec<u16> =
                taken.map(|log| u16::try_from(log).expect("there are few logs")).collect();
            if taken.len() < 2 {
                taken = (0..u16::try_from(logs).expect("there are few logs")).take(2).collect();
            }
            taken
        };
        let groups = (0..GROUPS_OF_KEYS).map(|_| group(random)).collect();
        let mut primary = Self {
            logs: vec![Vec::new(); logs],
            entries: vec![Vec::new(); logs],
            groups,
            txid: 0,
            fences: Vec::new(),
        };
        (0..STEPS).for_each(|step| primary.write(step, random));
        primary
    }

    fn write(&mut self, step: u64, random: &mut Random) {
        let value = step.to_string();
        let log =
            usize::try_from(random.below(self.logs.len() as u64)).expect("there are few logs");
        match random.below(8) {
            0..3 => {
                let key = format!("k{log}:{}", random.below(3));
                self.unit(log, &[&["SET", &key, &value]], &[&key], &value);
            }
            3 => {
                let [one, other] = [format!("p{log}:a"), format!("p{log}:b")];
                let commands: [&[&str]; 2] = [&["SET", &one, &value], &["SET", &other, &value]];
                self.unit(log, &commands, &[&one, &other], &value);
            }
            4 => {
                let [one, other] = [format!("p{log}:a"), format!("p{log}:b")];
                let command: [&[&str]; 1] = [&["MSET", &one, &value, &other, &value]];
                self.unit(log, &command, &[&one, &other], &value);
            }
            5 => {
                let all: Vec<u16> =
                    (0..u16::try_from(self.logs.len()).expect("there are few logs")).collect();
                self.transaction(&all, None, &value);
                let ends: Vec<u64> = self.logs.iter().map(|log| log.len() as u64).collect();
                let (state, weight) = self.state_at(&ends);
                self.fences.push((weight, state));
                let weight = Note::GetAck.command().len() as u64;
                self.put(0, &Note::GetAck.encode(), weight, State::new());
            }
            _ => {
                let group = usize::try_from(random.below(GROUPS_OF_KEYS as u64))
                    .expect("there are few logs");
                let participants = self.groups[group].clone();
                self.transaction(&participants, Some(group), &value);
            }
        }
    }

    fn unit(&mut self, log: usize, commands: &[&[&str]], keys: &[&String], value: &str) {
        let mut units = Units::default();
        units.begin();
        commands.iter().for_each(|args| units.push(0, args));
        units.end();
        let sets = keys.iter().map(|key| ((*key).clone(), value.to_owned())).collect();
        self.put(log, units.entries(), units.weight(), sets);
    }

    fn transaction(&mut self, participants: &[u16], group: Option<usize>, value: &str) {
        self.txid += 1;
        let transaction = Transaction { txid: self.txid, participants };
        for shard in participants {
            let mut unit = Units::default();
            let mut sets = State::new();
            if let Some(group) = group {
                let key = format!("g{group}:{shard}");
                unit.push(0, &["SET", &key, value]);
                sets.insert(key, value.to_owned());
            }
            let commands = unit.entries().get(HEADER..).unwrap_or(&[]);
            let payload = Payload { commands, db: 0, ends_elsewhere: false };
            let mut entry = Vec::new();
            let weight = transaction.push_part(&mut entry, *shard, payload);
            self.put((*shard).into(), &entry, weight, sets);
        }
    }

    fn put(&mut self, log: usize, entry: &[u8], weight: u64, sets: State) {
        self.logs[log].extend_from_slice(entry);
        let before = self.entries[log].last().map_or(0, |(_, weight, _)| *weight);
        self.entries[log].push((self.logs[log].len() as u64, before + weight, sets));
    }

    /// What is there up to these offsets, and what that weighs.
    pub fn state_at(&self, vector: &[u64]) -> (State, u64) {
        let (mut state, mut all) = (State::new(), 0);
        for (entries, offset) in self.entries.iter().zip(vector) {
            let taken = entries.iter().take_while(|(end, ..)| end <= offset);
            let mut last = (0, 0);
            for (end, weight, sets) in taken {
                state.extend(sets.clone());
                last = (*end, *weight);
            }
            assert_eq!(last.0, *offset, "a vector stands between entries");
            all += last.1;
        }
        (state, all)
    }
}
