"""Runs a module of CPython's test suite. To descriptor 3, for each test: "begin NAME" and one of "ok NAME",
"skip NAME", "fail NAME", "error NAME"; then "end".

run.py MODULE FILE: what FILE names, one a line (* at the end or within for anything), is not run."""
import fnmatch
import os
import sys
import unittest

from test import support

report = os.fdopen(os.dup(3), 'w', buffering=1)
os.close(3)


def say(word, test):
    report.write(f'{word} {test.id().replace(" ", "_")}\n')


class Result(unittest.TextTestResult):
    """Subtests and doubled reports count once, the worst of them."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.worst = 'ok'

    def startTest(self, test):
        super().startTest(test)
        self.worst = 'ok'
        say('begin', test)

    def stopTest(self, test):
        super().stopTest(test)
        say(self.worst, test)

    def note(self, word, test):
        # setUpClass and setUpModule fail outside of any test.
        if isinstance(test, unittest.suite._ErrorHolder):
            say(word, test)
        else:
            self.worst = word

    def addError(self, test, error):
        super().addError(test, error)
        self.note('error', test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note('fail', test)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.worst = 'fail'

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if self.worst == 'ok':
            self.worst = 'skip'

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.worst = 'fail'


def without(suite, skipped):
    """The same suite, nested as it is (fixtures of classes), less what is not to run."""
    left = type(suite)()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            left.addTest(without(test, skipped))
        elif not any(fnmatch.fnmatchcase(test.id(), s) for s in skipped):
            left.addTest(test)
    return left


def main():
    module, names = sys.argv[1:]
    with open(names) as file:
        skipped = file.read().split()
    support.use_resources = ['subprocess', 'cpu', 'network']
    loader = unittest.TestLoader()
    suite = without(loader.loadTestsFromName('test.' + module), skipped)
    runner = unittest.TextTestRunner(resultclass=Result, verbosity=2)
    runner.run(suite)
    report.write('end\n')
    report.flush()
    os._exit(0)


if __name__ == '__main__':
    main()
