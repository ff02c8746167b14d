"""The same with PagerDuty's own client."""

import json
import os

import pagerduty

with open(os.environ["EVENT"], "rb") as file:
    event = json.load(file)
client = pagerduty.EventsApiV2Client(event.pop("routing_key"), base_url=os.environ["EVENTS_URL"])
client.send_event(event.pop("event_action"), **event)
