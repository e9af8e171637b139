"""Carrying out the episodes of a run: so many at once, each one ended exactly once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.outcome import Outcome
from firedrill.records import EpisodeWriter, RunWriter
from firedrill.runner.attempt import Ending, Job, OpenWorkspace, Result, attempt, conclude
from firedrill.runner.settings import Progress, Settings
from firedrill.runner.staging import Stage, Staging


@dataclass
class Campaign:
    """The episodes that are to be carried out, and what they need."""

    writer: RunWriter
    staging: Staging
    settings: Settings
    open_workspace: OpenWorkspace
    progress: Progress
    _queue: deque[Job] = field(default_factory=deque)

    async def carry_out(self, jobs: Iterable[Job], stop: asyncio.Event) -> bool:
        """Work until every job has ended or ``stop`` is set; whether every job has ended.

        Episodes that are under way when it stops leave nothing behind.

        Raises:
            InputError: an agent cannot work as it is configured (a wrong key, an unknown model).
            OSError: the run's folder cannot be written.
        """
        self._queue.extend(jobs)
        count = max(1, min(self.settings.workers, len(self._queue)))
        workers = {asyncio.create_task(self._work()) for _ in range(count)}
        stopper = asyncio.create_task(stop.wait())
        pending: set[asyncio.Task[None]] = set(workers)
        try:
            while pending and not stop.is_set():
                done, _ = await asyncio.wait({*pending, stopper}, return_when=asyncio.FIRST_COMPLETED)
                for task in done & pending:
                    task.result()
                pending -= done
        finally:
            for task in (*workers, stopper):
                task.cancel()
            await asyncio.gather(*workers, stopper, return_exceptions=True)
            await self.staging.close()
        return not pending

    async def _work(self) -> None:
        while self._queue:
            await self._episode(self._queue.popleft())

    async def _episode(self, job: Job) -> None:
        if job.attempts:
            await asyncio.sleep(self.settings.retry_seconds * job.attempts)
        job.attempts += 1
        writer = self.writer.start_episode(job.key)
        for reason in job.troubles:
            writer.receipt.append("retry", reason=reason)
        try:
            stage, ending = await self._try(job, writer)
        except InfrastructureError as error:
            writer.discard()
            self._again(job, str(error))
            return
        except BaseException:
            writer.discard()
            raise
        await self._end(job, stage, ending, writer)

    async def _try(self, job: Job, writer: EpisodeWriter) -> tuple[Stage | None, Ending]:
        stage: Stage | None = None
        try:
            stage = await self.staging.get(job.key.scenario, self._ahead(job.key.scenario))
            return stage, await attempt(job, stage, writer, self.settings, self.open_workspace)
        except (InfrastructureError, OSError) as error:
            ours = InfrastructureError(str(error))
            if job.attempts <= self.settings.retries:
                raise ours from error
            return stage, Ending(Outcome.INFRASTRUCTURE_ERROR, str(ours))
        except InputError as error:
            if stage is not None:
                # the agent cannot work as it is configured: every episode of it would fail
                raise
            return None, Ending(Outcome.INFRASTRUCTURE_ERROR, str(error))

    def _ahead(self, scenario: str) -> str | None:
        """The next scenario of the queue; None where episodes go one by one."""
        if self.settings.workers < 2:
            return None
        return next((job.key.scenario for job in self._queue if job.key.scenario != scenario), None)

    def _again(self, job: Job, reason: str) -> None:
        job.troubles.append(reason)
        self.progress.note(f"{job.key.scenario} {job.key.agent} {job.key.repeat}: {reason}; tried again")
        self._queue.append(job)

    async def _end(self, job: Job, stage: Stage | None, ending: Ending, writer: EpisodeWriter) -> None:
        # once an episode has ended it is kept, even when the run is being stopped
        task = asyncio.create_task(asyncio.to_thread(self._keep, job, stage, ending, writer))
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            result = await task
            self.progress.finished(result.record, result.grade)
            raise
        self.staging.release(job.key.scenario)
        self.progress.finished(result.record, result.grade)

    def _keep(self, job: Job, stage: Stage | None, ending: Ending, writer: EpisodeWriter) -> Result:
        try:
            result = conclude(job, stage, ending, writer, self.settings.seed)
            self.writer.commit(writer, result.record, result.submission, result.grade)
        except BaseException:
            writer.discard()
            raise
        return result
