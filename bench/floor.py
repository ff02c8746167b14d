"""The floor of the prescribed libraries: import the toolkit, post once with requests."""

import os
import sys

import bitbucket_pipes_toolkit
import requests

with open(os.environ["EVENT"], "rb") as file:
    event = file.read()
headers = {"Content-Type": "application/json"}
answer = requests.post(f"{os.environ['EVENTS_URL']}/v2/enqueue", data=event, headers=headers, timeout=20)
bitbucket_pipes_toolkit.get_logger().info(answer.status_code)
sys.exit(answer.status_code != 202)
