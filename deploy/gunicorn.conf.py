"""For `gunicorn -c deploy/gunicorn.conf.py`: the settings that `likeopt serve` uses."""

from likeopt.web.gunicorn_conf import *  # noqa: F403
