"""What reviews do in workers: one keeps what people say, another what it comes to."""

from __future__ import annotations

from datetime import timedelta

from marketplace_core.hookspecs import Job, Schedule
from marketplace_reviews.pictures import MakePictures
from marketplace_reviews.service import ReviewService

__all__ = ["JOBS", "SCHEDULES", "SUBSCRIPTIONS"]

REVIEW = (
    ReviewService.on_order,
    ReviewService.on_review_commanded,
    ReviewService.on_content_decided,
    ReviewService.on_picture_decided,
)
RATING = (ReviewService.on_review_changed,)

SUBSCRIPTIONS = (*REVIEW, *RATING)

JOBS = (Job("reviews.make_pictures", ReviewService.make_pictures, MakePictures),)

SCHEDULES = (Schedule("reviews.sweep_pictures", ReviewService.sweep_pictures, timedelta(days=1)),)
