//! The word that a wake-up is left in, by one thread alone.

use ropewalk_sync::park::word::{Owed, Sleep, WakeWord};

#[test]
fn a_wake_up_that_comes_first_is_kept() {
    let word = WakeWord::new();
    assert!(!word.take());
    assert_eq!(word.notify(), Owed::Nothing);
    assert_eq!(word.notify(), Owed::Nothing, "two are one");
    assert!(word.take() && !word.take());

    assert_eq!(word.notify(), Owed::Nothing);
    assert!(!word.fall_asleep(Sleep::Suspended), "it is taken instead of sleeping");
    assert!(!word.take());
}

#[test]
fn who_finds_it_asleep_wakes_it_once() {
    for (how, owed) in [(Sleep::Suspended, Owed::Resume), (Sleep::Blocked, Owed::WakeThread)] {
        let word = WakeWord::default();
        assert!(word.fall_asleep(how) && !word.is_notified());
        assert_eq!(word.notify(), owed);
        assert_eq!(word.notify(), Owed::Nothing);
        assert!(word.is_notified() && word.wake_up());
        assert!(word.fall_asleep(how));
        assert!(!word.wake_up(), "it woke for another reason");
        assert_eq!(word.notify(), Owed::Nothing);
    }
}
