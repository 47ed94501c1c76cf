import unittest

import naming
from settings import Faults, Settings, read


class Names(unittest.TestCase):
    def check(self, settings: str, labels: dict[str, str], expected: str | None) -> None:
        """The name that the service `web` gets; None if nothing names a team."""
        wanted = read(settings)
        team = naming.team(wanted, labels)
        self.assertEqual(team and naming.name(wanted, team, "web"), expected)

    def test_a_service_is_named_after_team_and_application(self):
        self.check("{}", {"team": "shop"}, "shop-web")
        self.check("{}", {"team": " shop "}, "shop-web")
        self.check('{"separator": "."}', {"team": "shop"}, "shop.web")
        self.check('{"label": "org.team"}', {"team": "shop", "org.team": "pay"}, "pay-web")

    def test_without_the_label_there_is_no_team(self):
        self.check("{}", {"owner": "shop"}, None)
        self.check("{}", {"team": " "}, None)

    def test_a_name_that_is_right_already_stays(self):
        self.assertEqual(naming.name(Settings(), "shop", "shop-web"), "shop-web")


class ReadSettings(unittest.TestCase):
    def test_defaults(self):
        self.assertEqual(read("{}"), Settings())

    def check(self, settings: str, expected: list[str]) -> None:
        with self.assertRaises(Faults) as raised:
            read(settings)
        self.assertEqual(raised.exception.faults, expected)

    def test_every_fault_is_said(self):
        self.check(
            '{"lable": "x", "separator": "", "required": "yes"}',
            [
                "lable: there is no such setting; known are label, separator, required",
                "separator: must not be empty",
                "required: must be a boolean",
            ],
        )
        self.check("[]", ["the settings must be a table"])


if __name__ == "__main__":
    unittest.main()
