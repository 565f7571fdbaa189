"""Augment in a Lightning module, after the batch has come to its device.

pip install lightning. `on_after_batch_transfer` is Lightning's place for it: one kernel call on the
device, whatever the workers do. With the index and the epoch, a run that was stopped goes on with
the same images.
"""

import lightning
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import pyaug
from pyaug import data, models


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = models.build("conv-small", classes=10, in_channels=1)
        self.augment = pyaug.Augment("trivialaugment-wide", seed=0)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels, index = batch
        if self.trainer.training:
            images = self.augment(images, index=index, epoch=self.current_epoch)
        return images / 255, labels

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = F.cross_entropy(self.model(images), labels)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


def main():
    lightning.seed_everything(0)
    train = data.load("fashion-mnist-small").train
    dataset = data.Indexed(TensorDataset(train.images, train.labels))
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="auto",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Classifier(), DataLoader(dataset, batch_size=100, shuffle=True))
    print(f"loss {trainer.callback_metrics['loss']:.2f} after {trainer.current_epoch} epochs")


if __name__ == "__main__":
    main()
