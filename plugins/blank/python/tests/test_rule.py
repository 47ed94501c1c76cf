import unittest

import rule
import settings


class Rule(unittest.TestCase):
    def test_services_stay_as_they_are(self):
        self.assertEqual(rule.name({"team": "shop"}, "web"), "web")

    def test_a_setting_that_there_is_not_is_a_fault(self):
        self.assertEqual(settings.faults("{}"), [])
        self.assertEqual(settings.faults("[]"), ["the settings must be a table"])
        self.assertEqual(settings.faults('{"lable": 1}'), ["lable: there is no such setting"])


if __name__ == "__main__":
    unittest.main()
