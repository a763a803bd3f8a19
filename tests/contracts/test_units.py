from __future__ import annotations

import pytest

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of
from marketplace_core.testing.contracts.units import Probe, UnitsContract
from tests.contracts import wrong_units as wrong


@pytest.mark.behaviour("all-1")
class TestPostgresUnits(UnitsContract):
    pass


@pytest.mark.parametrize(
    ("units", "test"),
    [
        (wrong.CommitsHalves, "test_a_unit_is_all_or_nothing"),
        (wrong.CommitsAlways, "test_a_commit_that_is_forbidden_is_none"),
        (wrong.ActsTooEarly, "test_after_commit_comes_after_the_commit"),
        (wrong.NeverReplays, "test_a_repeat_gets_the_stored_answer"),
        (wrong.IgnoresTheScope, "test_keys_are_of_one_caller_and_one_method"),
        (wrong.SharesTheNames, "test_keys_are_of_one_plugin"),
        (wrong.SharesTheNames, "test_names_are_the_plugins_and_not_its_packages"),
        (wrong.SharesTheNames, "test_plugins_do_not_share_what_they_saw"),
        (wrong.IgnoresTheDigest, "test_a_key_used_with_other_arguments_is_refused"),
        (wrong.WaitsInsteadOfAnswering, "test_a_key_in_use_is_in_flight"),
        (wrong.ForgetsRefusals, "test_a_refusal_is_the_answer"),
        (wrong.StoresFailures, "test_a_failure_is_no_answer"),
        (wrong.LooksThenWorks, "test_equal_requests_at_once_have_one_effect"),
        (wrong.AnswersBesides, "test_a_crash_before_the_answer_is_sent_repeats_nothing"),
        (wrong.NeverReplays, "test_a_caller_that_goes_away_leaves_all_or_nothing"),
        (wrong.NeverReplays, "test_what_is_stored_can_be_asked_for"),
        (wrong.AppliesAlways, "test_an_event_is_applied_once"),
        (wrong.AppliesLateOnes, "test_only_a_greater_sequence_applies"),
        (wrong.SharesTheInbox, "test_handlers_do_not_share_what_they_saw"),
        (wrong.IgnoresTheWriter, "test_writers_do_not_hide_each_others_events"),
        (wrong.KnowsOnlyWriters, "test_what_bears_no_writer_is_of_whoever_wrote_the_key"),
        (wrong.EmitsAnywhere, "test_a_plugin_emits_on_its_own_topics"),
        (wrong.MarksBeforehand, "test_a_handler_that_fails_has_applied_nothing"),
        (wrong.PassesParkedKeys, "test_a_parked_key_waits"),
        (wrong.EmitsBesides, "test_what_a_handler_emits_leaves_with_its_unit"),
        (wrong.IgnoresTheScope, "test_calls_are_what_the_model_says"),
        (wrong.IgnoresTheDigest, "test_calls_are_what_the_model_says"),
        (wrong.ForgetsRefusals, "test_calls_are_what_the_model_says"),
        (wrong.LooksThenWorks, "test_calls_are_what_the_model_says"),
    ],
)
async def test_the_suite_notices(
    units: type[PostgresUnits],
    test: str,
    database: Database,
    movable_clock: RedisClock,
    probe: Probe,
    parking: PostgresParking,
) -> None:
    given = {
        "units": units(database, movable_clock, "contract", frozenset({"contract"})),
        "other_units": units(database, movable_clock, "other"),
        "probe": probe,
        "parking": parking,
    }
    await assert_contract_fails(UnitsContract, test, **fixtures_of(UnitsContract, test, given))
