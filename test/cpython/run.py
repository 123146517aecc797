"""Runs a module of CPython's test suite. To descriptor 3, for each test: "begin NAME" and one of "ok NAME",
"skip NAME", "fail NAME", "error NAME", of the last two each with what was said last; then "end".

run.py MODULE FILE: what FILE names, one a line (* at the end or within for anything), is not run; after a line
"only", it alone is."""
import fnmatch
import os
import sys
import unittest

from test import support

report = os.fdopen(os.dup(3), 'w', buffering=1)
os.close(3)


def say(word, test, why=''):
    report.write(f'{word} {test.id().replace(" ", "_")} {why}'.rstrip() + '\n')


def last_line(error):
    return str(error[1]).strip().splitlines()[-1] if str(error[1]).strip() else error[0].__name__


class Result(unittest.TextTestResult):
    """Subtests and doubled reports count once, the worst of them."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.worst, self.why = 'ok', ''

    def startTest(self, test):
        super().startTest(test)
        self.worst, self.why = 'ok', ''
        say('begin', test)

    def stopTest(self, test):
        super().stopTest(test)
        say(self.worst, test, self.why)

    def note(self, word, test, error):
        # setUpClass and setUpModule fail outside of any test.
        if isinstance(test, unittest.suite._ErrorHolder):
            say(word, test, last_line(error))
        else:
            self.worst, self.why = word, last_line(error)

    def addError(self, test, error):
        super().addError(test, error)
        self.note('error', test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note('fail', test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.worst, self.why = 'fail', last_line(error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if self.worst == 'ok':
            self.worst = 'skip'

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.worst = 'fail'


def chosen(suite, names, only):
    """The same suite, nested as it is (fixtures of classes): only those named, or all but them."""
    left = type(suite)()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            left.addTest(chosen(test, names, only))
        elif any(fnmatch.fnmatchcase(test.id().replace(' ', '_'), n) for n in names) == only:
            left.addTest(test)
    return left


def main():
    module, file = sys.argv[1:]
    with open(file) as lines:
        names = lines.read().split()
    only = names[:1] == ['only']
    support.use_resources = ['subprocess', 'cpu', 'network']
    loader = unittest.TestLoader()
    suite = chosen(loader.loadTestsFromName('test.' + module), names[only:], only)
    runner = unittest.TextTestRunner(resultclass=Result, verbosity=2)
    runner.run(suite)
    report.write('end\n')
    report.flush()
    os._exit(0)


if __name__ == '__main__':
    main()
