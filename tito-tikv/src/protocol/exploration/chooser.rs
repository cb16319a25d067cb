//! All sequences of choices, up to a number of deviations from the usual course.

/// One choice made.
#[derive(Clone, Copy, Debug)]
struct Made {
    option: usize,
    /// What the options cost; the first one costs nothing.
    costs: [u8; MOST],
    count: usize,
}

/// The largest number of options for one choice.
pub(super) const MOST: usize = 32;

/// Goes through all sequences of choices within a cost budget, one run at a time.
#[derive(Debug)]
pub(super) struct Chooser {
    made: Vec<Made>,
    position: usize,
    budget: usize,
    /// How many choices all runs made, counting a common beginning once: the number of states visited.
    pub(super) states: usize,
    pub(super) runs: usize,
}

impl Chooser {
    pub(super) fn new(budget: usize) -> Self {
        Chooser { made: Vec::new(), position: 0, budget, states: 0, runs: 0 }
    }

    fn spent(&self, up_to: usize) -> usize {
        self.made[..up_to].iter().map(|made| usize::from(made.costs[made.option])).sum()
    }

    /// The index of the option to take in this run.
    pub(super) fn choose(&mut self, costs: &[u8]) -> usize {
        let count = costs.len().min(MOST);
        if self.position == self.made.len() {
            let mut all = [0; MOST];
            all[..count].copy_from_slice(&costs[..count]);
            assert_eq!(all[0], 0, "what usually happens costs nothing");
            self.made.push(Made { option: 0, costs: all, count });
            self.states += 1;
        }
        let made = self.made[self.position];
        assert_eq!(made.count, count, "the same choices have to come again in the same run");
        self.position += 1;
        made.option
    }

    /// Moves to the next run; `false` if there is none.
    pub(super) fn next_run(&mut self) -> bool {
        self.runs += 1;
        self.position = 0;
        while let Some(last) = self.made.pop() {
            let spent = self.spent(self.made.len());
            let affordable = |option: &usize| spent + usize::from(last.costs[*option]) <= self.budget;
            if let Some(option) = (last.option + 1..last.count).find(affordable) {
                self.made.push(Made { option, ..last });
                self.states += 1;
                return true;
            }
        }
        false
    }

    /// The unusual choices of this run, for a message.
    pub(super) fn deviations(&self) -> Vec<(usize, usize)> {
        self.made.iter().enumerate().filter(|(_, made)| made.option > 0).map(|(at, made)| (at, made.option)).collect()
    }
}

#[test]
fn all_sequences_within_the_budget_are_gone_through_once() {
    let mut chooser = Chooser::new(2);
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let run: Vec<usize> = (0..4).map(|_| chooser.choose(&[0, 1, 1])).collect();
        assert!(seen.insert(run));
        if !chooser.next_run() {
            break;
        }
    }
    // None, one of four places with two options, two of four.
    assert_eq!(seen.len(), 1 + 4 * 2 + 6 * 4);
}
